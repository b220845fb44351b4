"""What a run leaves in its folder: `last` and `best` to serve, and what a resume needs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from model.categories import Categories
from model.checkpoints import checkpoint as checkpoints
from model.checkpoints.checkpoint import Checkpoint
from model.config import ModelConfig
from model.json_records import record_of
from model.presets import PRESETS
from model.train.recipes.recipe import Recipe
from model.train.recipes.small import SMALL
from model.train.state.resume import SaveError, save_state
from model.train.state.training import Training
from model.version import DISTRIBUTION, installed_version

logger = logging.getLogger(__name__)

_LONGEST_NAME = 90
LAST, BEST = "last.safetensors", "best.safetensors"
_LICENCE = "the trainer's choice, as far as the data and the starting weights allow"


class Keeper:
    """Writes a run's files; each replaces the one before in one go.

    story: the data, the starting point and the overrides, in words, for the provenance.
    """

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        categories: Categories,
        recipe: Recipe,
        story: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self._config, self._categories, self._recipe = config, categories, recipe
        self._story = dict(story)

    def save(self, training: Training) -> None:
        """Write `last` and the resume state; every process calls it, the main one writes.

        The weights come first: where the disk is full, they matter most.

        Raises:
            SaveError: there was no room or no permission; the files before stay whole.
        """
        state = {**training.state(), **self.identity()}
        if training.world.is_main:
            self.save_weights(training)
            try:
                save_state(self.folder, state)
            except SaveError as error:
                raise SaveError(f"{error}; the weights are in {LAST}") from None
            logger.info("saved %s at iteration %d", self.folder / LAST, training.iteration)

    def save_weights(self, training: Training) -> None:
        """Write `last` alone; the main process only.

        Raises:
            SaveError: as `save`.
        """
        self._write(LAST, training)

    def save_best(self, training: Training, score: Mapping[str, float]) -> None:
        """Write `best`, with its score in the provenance; the main process only.

        Raises:
            SaveError: as `save`.
        """
        self._write(BEST, training, evaluation=json.dumps(dict(score)))
        logger.info("saved %s at iteration %d", self.folder / BEST, training.iteration)

    def best_score(self) -> float | None:
        """Return the score of `best`; None if there is no such file, or it cannot be read."""
        path = self.folder / BEST
        if not path.exists():
            return None
        try:
            figures = json.loads(checkpoints.load(path).provenance["evaluation"])
            return main_figure(figures)
        except (ValueError, KeyError) as error:
            logger.warning("%s is not compared with what follows: %s", path, error)
            return None

    def checkpoint(self, training: Training, **more: str) -> Checkpoint:
        """Return the network as it is served, on the CPU."""
        tensors: dict[str, Tensor] = {
            name: tensor.detach().cpu().clone() for name, tensor in training.weights.items()
        }
        provenance = {
            "name": _name_of_run(self.folder),
            "source": "trained with python -m model.train",
            "configuration": f"{self._config.name}, trained",
            "iteration": f"{training.iteration} of {self._recipe.iterations}",
            "weights": "averaged" if training.average else "of the last step",
            "recipe": json.dumps(asdict(self._recipe)),
            "licence": _LICENCE,
            "trained_by": f"{DISTRIBUTION} {installed_version()}",
            **self._story,
            **more,
        }
        threshold = training.score_threshold
        config = self._config
        return Checkpoint(
            config=config if threshold is None else config.with_score_threshold(threshold),
            categories=self._categories,
            tensors=tensors,
            sha256="",
            provenance=provenance,
        )

    def identity(self) -> dict[str, Any]:
        """Return what tells this run from another, in JSON's types."""
        return {
            "config": json.dumps(self._config.to_dict()),
            "categories": json.dumps(self._categories.to_dict()),
            "recipe": json.dumps(asdict(self._recipe)),
            "story": self._story,
        }

    def check_same_run(self, state: Mapping[str, Any]) -> None:
        """Log in what the recipe and the data of a saved state differ from this run's.

        Raises:
            ValueError: it is of another network, of other classes, or of an optimiser whose
                state this run has no use for.
        """
        own = self.identity()
        missing = [name for name in own if name not in state]
        if missing:
            raise ValueError(f"the state in {self.folder} is no run's: it lacks {missing[0]}")
        before = {
            "config": _with_later_members(ModelConfig, state["config"]),
            "categories": state["categories"],
            "recipe": _with_later_members(Recipe, state["recipe"]),
        }
        for name in ("config", "categories"):
            if before[name] != own[name]:
                raise ValueError(
                    f"{self.folder} holds a run with another {name.replace('config', 'network')}: "
                    f"{_differences(before[name], own[name])}; "
                    "give the arguments it was started with, or another --output"
                )
        shapes = [
            _shape_of_state(json.loads(recipe)) for recipe in (before["recipe"], own["recipe"])
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{self.folder} holds a run with another optimiser or other frozen parts: "
                f"{_differences(*map(json.dumps, shapes))}; give the arguments it was started "
                "with, or start from its weights: --weights, with another --output"
            )
        if state["story"].get("data") != self._story.get("data"):
            logger.warning(
                "the run goes on with other data: %s -> %s",
                *(state["story"].get("data"), self._story.get("data")),
            )
        if before["recipe"] != own["recipe"]:
            logger.warning(
                "the run goes on with another recipe: %s",
                _differences(before["recipe"], own["recipe"]),
            )

    def _write(self, name: str, training: Training, **more: str) -> None:
        try:
            checkpoints.save(self.folder / name, self.checkpoint(training, **more))
        except ValueError as error:
            raise SaveError(str(error)) from None


def _name_of_run(folder: Path) -> str:
    """Return the folder's name as a model's, without what no model's name has in it.

    A network of one's own is not called like one that everybody has.
    """
    name = re.sub(r"[\s,=]+", "-", folder.resolve().name)[:_LONGEST_NAME] or "trained"
    return f"{name}-trained" if name in PRESETS or name == SMALL else name


def _shape_of_state(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a recipe decides which state an optimiser keeps, and of what."""
    parts = {name: recipe[name] for name in ("freeze_at", "frozen_parts")}
    return {"optimizer": recipe["optimizer"]["kind"], **parts}


def main_figure(figures: Mapping[str, float]) -> float:
    """Return what the best weights have most of: PQ, else mask AP; 0 where there is neither."""
    return figures.get("PQ", figures.get("mask_AP", 0.0))


def _with_later_members(kind: type[ModelConfig | Recipe], told: str) -> str:
    """Return a record's JSON with the members that it did not have yet when it was written.

    What they stand for was as their defaults are. JSON of no such record comes back as it is.
    """
    try:
        return json.dumps(asdict(record_of(kind, json.loads(told))))
    except ValueError:
        return told


def _differences(before: str, now: str) -> str:
    """Return "member: before -> now, …" of two JSON objects."""
    old, new = _flat(json.loads(before), ""), _flat(json.loads(now), "")
    changed = [n for n in dict.fromkeys((*old, *new)) if old.get(n) != new.get(n)]
    return ", ".join(f"{n}: {old.get(n)} -> {new.get(n)}" for n in changed[:8])


def _flat(tree: Any, prefix: str) -> dict[str, Any]:
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        return {f"{prefix}count": len(tree)} | {
            f"{prefix}{i}": member.get("name") for i, member in enumerate(tree)
        }
    if not isinstance(tree, dict):
        return {prefix.removesuffix("."): tree}
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _flat(value, f"{prefix}{name}.")
    return leaves
