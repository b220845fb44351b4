"""What a stopped run needs to go on as if it had never stopped.

One file holds the whole state. It replaces the one before in a single rename, and that one
stays beside it: whenever the process is killed, a whole state can be read.
"""

from __future__ import annotations

import json
import logging
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.files import replacing
from model.train.recipes.recipe import Recipe

logger = logging.getLogger(__name__)

RESUME_FILE = "resume.pt"
FORMAT_VERSION = 1
_DAMAGE = (OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError)


class SaveError(ValueError):
    """A checkpoint could not be written; those written before are whole."""


def save_state(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write the state into the folder, whole or not at all, and return where.

    Raises:
        SaveError: it cannot be written (no space left, no permission); what was there stays.
    """
    path = folder / RESUME_FILE
    try:
        with (
            replacing(path, durable=True, previous=_previous(path)) as partial,
            partial.open("wb") as file,
        ):
            torch.save({"format_version": FORMAT_VERSION, **state}, file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__
        reason = getattr(cause, "strerror", None) or error
        raise SaveError(f"{path} cannot be written: {reason}") from None
    return path


def has_state(folder: Path) -> bool:
    """Whether a run was saved there, be it whole or not."""
    path = folder / RESUME_FILE
    return path.exists() or _previous(path).exists()


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the newest whole state in the folder, on the CPU; None if no run was saved there.

    Raises:
        ValueError: there are files, but none can be read.
    """
    path = folder / RESUME_FILE
    reasons: list[str] = []
    for candidate in (path, _previous(path)):
        if not candidate.exists():
            continue
        try:
            return _read(candidate)
        except _DAMAGE as error:
            reason = _in_words(error)
            logger.warning("%s cannot be read (%s)", candidate, reason)
            reasons.append(f"{candidate.name}: {reason}")
    if reasons:
        raise ValueError(
            f"nothing in {folder} can be resumed from: {'; '.join(reasons)}; "
            "its weights can start another run: --weights, with another --output"
        )
    return None


def steps_done(state: Mapping[str, Any], recipe: Recipe, *, by_pictures: bool) -> int:
    """Return how far along the recipe a saved state is, in its own steps.

    Args:
        by_pictures: a step of another number of pictures counts for as many; else all steps
            are alike.
    """
    done = int(state["iteration"])
    before = json.loads(state["recipe"])
    pictures_before = before["batch_size"] * before["accumulate"]
    return round(done * pictures_before / recipe.num_pictures) if by_pictures else done


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states of Python's, NumPy's and PyTorch's generators, in plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (str(kind), [int(key) for key in keys], int(position), int(has_gauss), gauss),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Put the generators where `random_states` found them."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, numpy_keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(numpy_keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def _read(path: Path) -> dict[str, Any]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or "format_version" not in state:
        raise ValueError("it is no saved state of a training run")
    if state["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"it is of format {state['format_version']}; this program reads up to {FORMAT_VERSION}"
        )
    return state


def _in_words(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged, or holds something else than plain values and tensors"
    return " ".join(str(error).split())[:200]


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")
