"""A picture whose answer is known: what a device that computes wrongly is found out by.

The first answer is held to itself, alone and in a batch, and every later one to the first. The
picture is not enlarged to the network's usual size: that would cost ten times as much, and the
same code runs.
"""
# L detection levels, C classes, R instances

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from model.prediction.predictor import PredictOptions, Predictor
from model.prediction.preprocess import prepare
from model.structures import DensePredictions, Instances
from service.worker.failures import Failure, failure_of, one_line
from service.worker.models import LoadedModel

log = logging.getLogger(__name__)

_HEIGHT, _WIDTH = 240, 320
_SCORE_THRESHOLD = 0.05
_MAX_BOX_ERROR = 0.5  # pixels of the picture
_MAX_SCORE_ERROR = 1e-3
_MAX_PROBABILITY_ERROR = 5e-3
# Instances at the verge of a threshold, or of overlapping too much, come and go by rounding.
_MAX_STRAYS = 0.05


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What the network made of the picture.

    profile: (L, C, 2) mean and largest class probability of each level.
    instances: those with a score of 0.05 or more.
    """

    profile: Tensor
    instances: Instances


class Canary:
    """Holds one model's predictor to what it said first."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._first: _Look | None = None

    def complaint(self) -> str | None:
        """Return what is wrong with the device or the weights; None if all is well.

        The first time the picture runs twice alone and once in a batch of 2; later once.
        """
        try:
            if self._first is not None:
                return _difference(self._first, *self._look(1))
            (first,) = self._look(1)
            complaint = _difference(first, *self._look(1), *self._look(2))
        except _NotFiniteError as error:
            return str(error)
        if complaint is None:
            self._first = first
        return complaint

    def _look(self, number: int) -> list[_Look]:
        predictor = self._predictor
        as_it_is = replace(predictor.config.input, short_side=0)
        batch = prepare([canary_picture()] * number, as_it_is, predictor.device)
        predictions = predictor.forward(batch)
        _check_finite(predictions)
        options = PredictOptions(score_threshold=_SCORE_THRESHOLD)
        found = predictor.read_instances(batch, predictions, options)
        return [
            _Look(profile=_profile(predictions, slot), instances=instances)
            for slot, instances in enumerate(found)
        ]


def open_canaries(
    models: Mapping[str, LoadedModel], on_fatal: Callable[[str], NoReturn]
) -> Callable[[], str | None]:
    """Return what runs every model's canary, and returns the first complaint.

    Args:
        on_fatal: ends the process, as the device does not work any more.
    """
    canaries = {name: Canary(model.predictor) for name, model in models.items()}

    def complaint() -> str | None:
        for name, canary in canaries.items():
            try:
                text = canary.complaint()
            except Exception as error:
                if failure_of(error) is Failure.DEVICE:
                    on_fatal(one_line(error))
                log.exception("the canary failed")
                text = one_line(error)
            if text is not None:
                return f"{name}: {text}"
        return None

    return complaint


class _NotFiniteError(Exception):
    """The network says something that is no number."""


def canary_picture() -> np.ndarray:
    """Return the picture: shapes on gradients, RGB uint8 (240, 320, 3)."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    picture = np.stack([x * 255 // _WIDTH, y * 255 // _HEIGHT, (x + y) % 256], axis=-1)
    picture[(x - 90) ** 2 + (y - 100) ** 2 < 60**2] = (220, 60, 40)
    picture[120:210, 180:290] = (30, 40, 200)
    picture[(x > 200) & (y < 90) & (x - 200 > y)] = (250, 240, 60)
    picture[(x // 8 + y // 8) % 2 * (y > 190) * (x < 150) > 0] = (20, 20, 20)
    return picture.astype(np.uint8)


def _check_finite(predictions: DensePredictions) -> None:
    parts = {
        "classes": predictions.class_logits,
        "distances": predictions.distances,
        "bases": [predictions.bases],
    }
    if predictions.centerness_logits is not None:
        parts["centerness"] = predictions.centerness_logits
    if predictions.semantic_logits is not None:
        parts["semantic labels"] = [predictions.semantic_logits]
    for name, tensors in parts.items():
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise _NotFiniteError(f"the network's {name} are not finite")


def _profile(predictions: DensePredictions, slot: int) -> Tensor:
    levels = [logits[slot].sigmoid().flatten(1) for logits in predictions.class_logits]
    return torch.stack([torch.stack([p.mean(1), p.amax(1)], dim=-1) for p in levels]).cpu()


def _difference(expected: _Look, *others: _Look) -> str | None:
    """Return the first difference of another look from the expected one that is too large."""
    for other in others:
        error = float((expected.profile - other.profile).abs().max())
        if error > _MAX_PROBABILITY_ERROR:
            return f"class probabilities are off by {error:.2g}"
        for one, two in ((expected, other), (other, expected)):
            number = len(one.instances)
            strays = number - _num_found_again(one.instances, two.instances)
            if strays > max(1, _MAX_STRAYS * number):
                return f"{strays} of {number} instances are not found again"
    return None


def _num_found_again(wanted: Instances, found: Instances) -> int:
    """Return how many instances have a like one, by class, score and box, in the other set."""
    boxes = np.abs(wanted.boxes_xyxy[:, None] - found.boxes_xyxy[None]).max(-1, initial=0)
    scores = np.abs(wanted.scores[:, None] - found.scores[None])
    same = wanted.classes[:, None] == found.classes[None]
    alike = same & (boxes <= _MAX_BOX_ERROR) & (scores <= _MAX_SCORE_ERROR)
    return int(alike.any(axis=1).sum())
