"""Average precision of boxes or masks as COCO defines it, gathered picture by picture.

The numbers are those of `pycocotools.cocoeval` (boxes and masks apart, so that a mask's own
area decides whether it is small). What is kept of a picture is 40 bytes for each detection:
its shapes are compared at once and let go.
"""
# D detections and G truths of one category in one picture
# A area ranges, T IoU thresholds, R recall points, K categories

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.matching import FALSE, IGNORED, IOU_THRESHOLDS, TRUE, ious, match
from model.structures import RLE

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
# In pixels of the picture, both ends included.
AREA_RANGES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
MAX_DETECTIONS = 100  # of one category in one picture

_ALL = 0  # the area range of that name
_AT_50, _AT_75 = 0, 5


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Boxes or masks of one picture, whatever their category.

    shapes: (n, 4) float64 boxes x, y, width, height, or n run lengths.
    category_ids: (n,) the data set's own. areas: (n,) in pixels.
    """

    shapes: np.ndarray | Sequence[RLE]
    category_ids: np.ndarray
    areas: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(self.shapes), len(self.category_ids), len(self.areas)}
        if len(lengths) > 1:
            raise ValueError(
                f"{len(self.shapes)} shapes, {len(self.category_ids)} categories and "
                f"{len(self.areas)} areas; there must be one of each for every object"
            )


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of one category's detections in one picture.

    scores: (D,) descending. states: (A, T, D) int8 of `matching`.
    num_truths: (A,) the truths to be found.
    """

    image_id: int | str
    scores: np.ndarray
    states: np.ndarray
    num_truths: np.ndarray


@dataclass(frozen=True, kw_only=True)
class BestF1:
    """The least score to keep for the best F1, and that F1."""

    score_threshold: float
    f1: float


class AveragePrecision:
    """Gathers pictures, then tells the numbers of the categories that are evaluated."""

    def __init__(self, category_ids: Iterable[int]) -> None:
        self.category_ids = sorted(category_ids)
        self._outcomes: defaultdict[int, list[_Outcome]] = defaultdict(list)

    def add(
        self,
        image_id: int | str,
        found: Shapes,
        scores: np.ndarray,
        truth: Shapes,
        crowd: np.ndarray,
    ) -> None:
        """Compare one picture's detections with its truth.

        Args:
            scores: (n,) of the detections.
            crowd: (m,) bool; a region that need not be found, and where detections of its
                category that lie in it for the most part do no harm.
        """
        present = {*found.category_ids.tolist(), *truth.category_ids.tolist()}
        for category_id in present.intersection(self.category_ids):
            mine = np.flatnonzero(found.category_ids == category_id)
            best = np.argsort(-scores[mine], kind="stable")[:MAX_DETECTIONS]
            mine = mine[best]
            theirs = np.flatnonzero(truth.category_ids == category_id)
            to_ignore = _outside(truth.areas[theirs]) | crowd[theirs]
            states = match(
                ious(found.shapes, mine, truth.shapes, theirs, crowd),
                crowd[theirs],
                to_ignore,
                _outside(found.areas[mine]),
            )
            self._outcomes[category_id].append(
                _Outcome(
                    image_id=image_id,
                    scores=scores[mine].astype(np.float64),
                    states=states,
                    num_truths=np.count_nonzero(~to_ignore, axis=1),
                )
            )

    def numbers(self) -> dict[str, float | None]:
        """Return COCO's twelve numbers, each 0 to 1, or None where there was nothing to find."""
        return _twelve([self._curves(category_id) for category_id in self.category_ids])

    def per_category(self) -> list[dict[str, Any]]:
        """Return for each category its id, how many were to be found, and its twelve numbers."""
        rows = []
        for category_id in self.category_ids:
            outcomes = self._outcomes[category_id]
            rows.append(
                {
                    "id": category_id,
                    "num_truths": sum(int(o.num_truths[_ALL]) for o in outcomes),
                    "num_detections": sum(len(o.scores) for o in outcomes),
                    **_twelve([self._curves(category_id)]),
                }
            )
        return rows

    def best_f1(self) -> BestF1 | None:
        """Return the threshold of the score that finds most for the least that is wrong.

        All categories and sizes count together, at an IoU of 0.5. None where nothing was found
        or nothing was to be found.
        """
        outcomes = [o for category_id in self.category_ids for o in self._outcomes[category_id]]
        num_truths = sum(int(o.num_truths[_ALL]) for o in outcomes)
        scores = np.concatenate([np.zeros(0), *(o.scores for o in outcomes)])
        states = np.concatenate([np.zeros(0, np.int8), *(o.states[_ALL, _AT_50] for o in outcomes)])
        counted = states != IGNORED
        scores, states = scores[counted], states[counted]
        if num_truths == 0 or len(scores) == 0:
            return None
        order = np.argsort(-scores, kind="stable")
        scores, is_true = scores[order], states[order] == TRUE
        f1 = 2 * np.cumsum(is_true) / (np.arange(1, len(scores) + 1) + num_truths)
        f1[:-1][scores[:-1] == scores[1:]] = -1.0  # equal scores are kept together
        best = int(f1.argmax())
        return BestF1(score_threshold=float(scores[best]), f1=float(f1[best]))

    def _curves(self, category_id: int) -> _Curves:
        outcomes = sorted(self._outcomes[category_id], key=_picture_order)
        num_areas, num_thresholds = len(AREA_RANGES), len(IOU_THRESHOLDS)
        shape = (num_areas, num_thresholds)
        precision = np.full((*shape, len(RECALL_POINTS)), np.nan)
        recall = {limit: np.full(shape, np.nan) for limit in (1, 10, MAX_DETECTIONS)}
        num_truths = sum((o.num_truths for o in outcomes), np.zeros(num_areas, dtype=np.int64))
        to_find = np.flatnonzero(num_truths)
        for limit, recalls in recall.items() if len(to_find) else ():
            scores = np.concatenate([o.scores[:limit] for o in outcomes])
            states = np.concatenate([o.states[:, :, :limit] for o in outcomes], axis=2)
            states = states[:, :, np.argsort(-scores, kind="stable")]
            for area in to_find:
                true = np.cumsum(states[area] == TRUE, axis=1)  # (T, D)
                false = np.cumsum(states[area] == FALSE, axis=1)
                recalls[area] = true[:, -1] / num_truths[area] if len(scores) else 0.0
                if limit == MAX_DETECTIONS:
                    precision[area] = _precision(true, false, int(num_truths[area]))
        return _Curves(precision=precision, recall=recall)


@dataclass(frozen=True, kw_only=True)
class _Curves:
    """One category's curves; NaN where nothing was to be found.

    precision: (A, T, R). recall: (A, T) for each limit of detections.
    """

    precision: np.ndarray
    recall: dict[int, np.ndarray]


def _picture_order(outcome: _Outcome) -> tuple[bool, Any]:
    return isinstance(outcome.image_id, str), outcome.image_id


def _outside(areas: np.ndarray) -> np.ndarray:
    """Return (A, n) bool: whether an object is too small or too large for each range."""
    low, high = np.array(list(AREA_RANGES.values())).T[:, :, None]
    return np.asarray((areas < low) | (areas > high))


def _precision(true: np.ndarray, false: np.ndarray, num_truths: int) -> np.ndarray:
    """Return (T, R): the best precision at each recall or a higher one, 0 where none is."""
    curve = np.zeros((true.shape[0], len(RECALL_POINTS)))
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for row, (recall, best) in enumerate(zip(true / num_truths, envelope, strict=True)):
        at = np.searchsorted(recall, RECALL_POINTS, side="left")
        reached = at < len(recall)
        curve[row, reached] = best[at[reached]]
    return curve


def _twelve(curves: Sequence[_Curves]) -> dict[str, float | None]:
    precision = np.stack([c.precision for c in curves])  # (K, A, T, R)
    recall = {limit: np.stack([c.recall[limit] for c in curves]) for limit in (1, 10, 100)}
    sizes = list(enumerate(AREA_RANGES))[1:]
    return {
        "AP": _mean(precision[:, _ALL]),
        "AP50": _mean(precision[:, _ALL, _AT_50]),
        "AP75": _mean(precision[:, _ALL, _AT_75]),
        **{f"AP_{name}": _mean(precision[:, area]) for area, name in sizes},
        **{f"AR_{limit}": _mean(recall[limit][:, _ALL]) for limit in recall},
        **{f"AR_{name}": _mean(recall[MAX_DETECTIONS][:, area]) for area, name in sizes},
    }


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
