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
from pycocotools import mask as coco_mask

from model.structures import RLE

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
# In pixels of the picture, both ends included.
AREA_RANGES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
MAX_DETECTIONS = 100  # of one category in one picture

_FALSE, _TRUE, _IGNORED = 0, 1, -1
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

    scores: (D,) descending. states: (A, T, D) int8, _FALSE, _TRUE or _IGNORED.
    num_truths: (A,) the truths to be found.
    """

    image_id: int
    scores: np.ndarray
    states: np.ndarray
    num_truths: np.ndarray


class AveragePrecision:
    """Gathers pictures, then tells the numbers of the categories that are evaluated."""

    def __init__(self, category_ids: Iterable[int]) -> None:
        self.category_ids = sorted(category_ids)
        self._outcomes: defaultdict[int, list[_Outcome]] = defaultdict(list)

    def add(
        self, image_id: int, found: Shapes, scores: np.ndarray, truth: Shapes, crowd: np.ndarray
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
            states = _match(
                _ious(found.shapes, mine, truth.shapes, theirs, crowd),
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

    def _curves(self, category_id: int) -> _Curves:
        outcomes = sorted(self._outcomes[category_id], key=lambda outcome: outcome.image_id)
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
                true = np.cumsum(states[area] == _TRUE, axis=1)  # (T, D)
                false = np.cumsum(states[area] == _FALSE, axis=1)
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


def _outside(areas: np.ndarray) -> np.ndarray:
    """Return (A, n) bool: whether an object is too small or too large for each range."""
    low, high = np.array(list(AREA_RANGES.values())).T[:, :, None]
    return np.asarray((areas < low) | (areas > high))


def _ious(
    found: np.ndarray | Sequence[RLE],
    mine: np.ndarray,
    truth: np.ndarray | Sequence[RLE],
    theirs: np.ndarray,
    crowd: np.ndarray,
) -> np.ndarray:
    """Return (D, G) IoUs; for a crowd, the share of the detection that lies in it."""
    if len(mine) == 0 or len(theirs) == 0:
        return np.zeros((len(mine), len(theirs)))
    if isinstance(found, np.ndarray) and isinstance(truth, np.ndarray):
        chosen: Any = np.ascontiguousarray(found[mine], dtype=np.float64)
        others: Any = np.ascontiguousarray(truth[theirs], dtype=np.float64)
    else:
        chosen, others = [found[i] for i in mine], [truth[i] for i in theirs]
    return np.asarray(coco_mask.iou(chosen, others, crowd[theirs].astype(np.uint8)))


def _match(
    ious: np.ndarray, crowd: np.ndarray, to_ignore: np.ndarray, outside: np.ndarray
) -> np.ndarray:
    """Return (A, T, D) states: best score first, each detection takes the best truth left.

    A truth that counts goes before any that is to be ignored; of equal IoUs the last wins. What
    is found of an ignored truth, or nowhere and outside the area range, is ignored itself.

    Args:
        ious: (D, G), detections by descending score. crowd: (G,), may be taken many times.
        to_ignore: (A, G). outside: (A, D).
    """
    thresholds = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # (T, 1)
    num_areas, num_found = outside.shape
    start = np.where(outside, _IGNORED, _FALSE).astype(np.int8)
    states = np.repeat(start[:, None, :], len(thresholds), axis=1)  # (A, T, D)
    taken = np.zeros((num_areas, len(thresholds), len(crowd)), dtype=bool)
    counts = ~to_ignore[:, None, :]  # (A, 1, G)
    near = ious.max(axis=1, initial=0.0) >= thresholds[0, 0] if num_found else np.zeros(0, bool)
    for index in np.flatnonzero(near):
        free = (ious[index] >= thresholds) & ~taken  # (A, T, G)
        preferred = free & counts
        is_true = preferred.any(axis=2)
        choice = np.where(is_true[:, :, None], preferred, free)
        hit = choice.any(axis=2)
        backwards = np.where(choice, ious[index], -1.0)[:, :, ::-1]
        best = len(crowd) - 1 - backwards.argmax(axis=2)
        area, threshold = np.nonzero(hit)
        chosen = best[hit]
        taken[area, threshold, chosen] = ~crowd[chosen]
        states[:, :, index][hit] = np.where(is_true[hit], _TRUE, _IGNORED)
    return states


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
