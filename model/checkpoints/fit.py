"""Whether tensors are those of a configuration's network, and which configuration they suit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from model.checkpoints.describe import (
    Shapes,
    describe_shapes,
    disagreements,
    is_training_only,
    shapes_of,
    with_class_counts,
)
from model.checkpoints.other_networks import other_network
from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.presets import PRESETS

logger = logging.getLogger(__name__)

_NAMED_IN_AN_ERROR = 10
_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """How tensors and a network differ; `reshaped` says "name (has), not (wants)"."""

    missing: list[str]
    unknown: list[str]
    reshaped: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unknown or self.reshaped)


@lru_cache(maxsize=32)
def expected_shapes(config: ModelConfig) -> Shapes:
    """Return {name: shape} of the configuration's network; no memory is taken for its weights."""
    with torch.device("meta"):
        network = BlendMask(config)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def misfit(shapes: Shapes, config: ModelConfig) -> Misfit:
    """Return how the tensors differ from the network's; what only training reads may be absent."""
    expected = expected_shapes(config)
    return Misfit(
        missing=[n for n in expected if n not in shapes and not is_training_only(n)],
        unknown=[n for n in shapes if n not in expected and not is_training_only(n)],
        reshaped=[
            f"{name} {shape}, not {expected[name]}"
            for name, shape in shapes.items()
            if name in expected and shape != expected[name]
        ],
    )


def check_fit(tensors: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Raise unless the tensors are the network's.

    Raises:
        ValueError: one sentence with the likely cause, one with counts and names.
    """
    shapes = shapes_of(tensors)
    difference = misfit(shapes, config)
    if not difference:
        _check_types(tensors)
        return
    stranger = other_network(shapes)
    if stranger is not None:
        raise ValueError(stranger)
    causes = disagreements(describe_shapes(shapes), config)
    suited = suitable_presets(shapes)
    advice = f"; they fit {_names(suited)}" if suited else ""
    raise ValueError(
        f"the weights do not fit the configuration {config.name}"
        + (f": {'; '.join(causes)}" if causes else "")
        + f"{advice}. {_counted(difference)}"
    )


def infer_config(tensors: Mapping[str, Tensor], hint: str = "") -> ModelConfig:
    """Return the released configuration whose network has exactly these tensors.

    Numbers of classes are taken from the tensors. Configurations that share a network also
    share all that prediction reads, so any of them is right; the one called `hint` is preferred.

    Raises:
        ValueError: there is none; the message says what the tensors are.
    """
    shapes = shapes_of(tensors)
    found = suitable_presets(shapes)
    if not found:
        raise ValueError(_unknown_network(shapes))
    _check_types(tensors)
    chosen = next((c for c in found if c.name.rpartition("/")[2] == hint), found[0])
    logger.info(
        "configuration read from the tensors: %s (the network fits %s)", chosen.name, _names(found)
    )
    return chosen


def suitable_presets(shapes: Shapes) -> list[ModelConfig]:
    """Return the released configurations that the tensors fit.

    If none has the tensors' numbers of classes, those that would with other numbers.
    """
    found = describe_shapes(shapes)
    suited = []
    for preset in PRESETS.values():
        config = with_class_counts(preset, found)
        if not disagreements(found, config) and not misfit(shapes, config):
            suited.append(config)
    return [c for c in suited if c == PRESETS[c.name]] or suited


def drop_unread(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Return the tensors without those for training that the network does not have."""
    expected = expected_shapes(config)
    dropped = [n for n in tensors if n not in expected and is_training_only(n)]
    if dropped:
        logger.info("left out %d tensors that only training reads", len(dropped))
    return {name: tensor for name, tensor in tensors.items() if name not in dropped}


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise if a weight is NaN or infinite: such a network finds nothing, or anything.

    Raises:
        ValueError: names the first such tensor and counts the others.
    """
    bad = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if bad:
        values = tensors[bad[0]]
        count = int((~values.isfinite()).sum())
        others = f", and {len(bad) - 1} other tensors have such" if len(bad) > 1 else ""
        raise ValueError(
            f"{count} of {values.numel()} values of the tensor {bad[0]} are NaN or infinite"
            f"{others}: the training diverged, or the file is damaged; "
            "an earlier checkpoint would be right"
        )


def _check_types(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES and not is_training_only(name):
            raise ValueError(
                f"the tensor {name} is of type {str(tensor.dtype).removeprefix('torch.')}; "
                f"{', '.join(str(t).removeprefix('torch.') for t in _TYPES)} would be right"
            )


def _unknown_network(shapes: Shapes) -> str:
    stranger = other_network(shapes)
    if stranger is not None:
        return stranger
    found = describe_shapes(shapes)
    nearest = min(
        PRESETS.values(),
        key=lambda c: _distance(misfit(shapes, with_class_counts(c, found))),
    )
    difference = misfit(shapes, with_class_counts(nearest, found))
    causes = disagreements(found, with_class_counts(nearest, found))
    return (
        "the weights fit no released configuration; give their own with --config. "
        f"The nearest is {nearest.name}"
        + (f": {'; '.join(causes)}" if causes else "")
        + f". {_counted(difference)}"
    )


def _distance(difference: Misfit) -> int:
    return len(difference.missing) + len(difference.unknown) + len(difference.reshaped)


def _counted(difference: Misfit) -> str:
    parts = []
    for names, what in (
        (difference.missing, "missing"),
        (difference.unknown, "unknown"),
        (difference.reshaped, "of another shape"),
    ):
        if names:
            more = len(names) - _NAMED_IN_AN_ERROR
            shown = ", ".join(names[:_NAMED_IN_AN_ERROR]) + (
                f" and {more} more" if more > 0 else ""
            )
            parts.append(f"{len(names)} {what}: {shown}")
    return "Tensors " + "; ".join(parts)


def _names(configs: list[ModelConfig]) -> str:
    return ", ".join(config.name for config in configs)
