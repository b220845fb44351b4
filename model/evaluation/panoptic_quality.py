"""Panoptic quality, arXiv:1801.00868, with COCO's rules for void and crowds; picture by picture.

PQ = sum of the IoUs of matched segments / (TP + FP / 2 + FN / 2) = SQ × RQ for each category;
then the mean over the categories that occur. Things and stuff are treated alike.
"""
# T true segments, F found segments of one picture; index 0 is void on either side

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.datasets.panoptic_file import TrueSegment

VOID = 0


@dataclass(kw_only=True)
class _Tally:
    sum_iou: float = 0.0
    matched: int = 0
    unmatched_found: int = 0
    unmatched_truth: int = 0

    def numbers(self) -> dict[str, float] | None:
        """Return PQ, SQ and RQ, or None where the category never occurred."""
        weight = self.matched + 0.5 * self.unmatched_found + 0.5 * self.unmatched_truth
        if weight == 0:
            return None
        return {
            "PQ": self.sum_iou / weight,
            "SQ": self.sum_iou / self.matched if self.matched else 0.0,
            "RQ": self.matched / weight,
        }


class PanopticQuality:
    """Gathers pictures, then tells the numbers of the categories that are evaluated."""

    def __init__(self, thing_ids: Iterable[int], stuff_ids: Iterable[int]) -> None:
        self._groups = {"things": sorted(thing_ids), "stuff": sorted(stuff_ids)}
        self.category_ids = sorted(i for group in self._groups.values() for i in group)
        self._tallies = {category_id: _Tally() for category_id in self.category_ids}

    def add(
        self,
        true_map: np.ndarray,
        truth: Sequence[TrueSegment],
        found_map: np.ndarray,
        found: Mapping[int, int],
    ) -> None:
        """Compare one picture's partition with the true one.

        Two segments of one category match where their IoU, found pixels that are truly void
        left out, is above 0.5. A found segment without a match is no error where more than
        half of it is truly void or in crowds of its category; a crowd need not be found.

        Args:
            true_map, found_map: (H, W) integers, segment ids; 0 is void.
            truth: the true segments.
            found: category id of each found segment.

        Raises:
            ValueError: the sizes differ, or a map has an id that its segments lack.
        """
        if true_map.shape != found_map.shape:
            raise ValueError(
                f"the found map is {_size(found_map)}, the true one {_size(true_map)}; "
                "they must be equal"
            )
        true_ids, found_ids = [segment.id for segment in truth], list(found)
        shared = _shared_pixels(
            _indices(true_map, true_ids, "true"),
            _indices(found_map, found_ids, "found"),
            (len(true_ids) + 1, len(found_ids) + 1),
        )
        categories = np.array([VOID, *found.values()])
        matched_found = self._match(shared, truth, categories)
        self._judge_rest(shared, truth, categories, matched_found)

    def _match(
        self, shared: np.ndarray, truth: Sequence[TrueSegment], categories: np.ndarray
    ) -> np.ndarray:
        """Count matches and misses; return (F + 1,) bool, the found segments with a match."""
        true_areas, found_areas = shared.sum(axis=1), shared.sum(axis=0)
        matched_found = np.zeros(len(categories), dtype=bool)
        for index, segment in enumerate(truth, start=1):
            tally = self._tallies.get(segment.category_id)
            if segment.is_crowd or tally is None:
                continue
            union = true_areas[index] + found_areas - shared[index] - shared[VOID]
            iou = np.divide(shared[index], union, out=np.zeros(len(union)), where=union > 0)
            # Above one half there is at most one: segments of a partition do not overlap.
            fits = np.flatnonzero((iou > 0.5) & (categories == segment.category_id))
            if len(fits):
                tally.matched += 1
                tally.sum_iou += float(iou[fits[0]])
                matched_found[fits[0]] = True
            else:
                tally.unmatched_truth += 1
        return matched_found

    def _judge_rest(
        self,
        shared: np.ndarray,
        truth: Sequence[TrueSegment],
        categories: np.ndarray,
        matched_found: np.ndarray,
    ) -> None:
        found_areas = shared.sum(axis=0)
        for index in np.flatnonzero(~matched_found):
            tally = self._tallies.get(int(categories[index]))
            if index == VOID or tally is None:
                continue
            harmless = int(shared[VOID, index])
            for row, segment in enumerate(truth, start=1):
                if segment.is_crowd and segment.category_id == categories[index]:
                    harmless += int(shared[row, index])
            if harmless <= 0.5 * found_areas[index]:
                tally.unmatched_found += 1

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Return PQ, SQ and RQ (0 to 1, None without any) of "all", "things" and "stuff"."""
        groups = {"all": self.category_ids, **self._groups}
        return {name: self._mean(ids) for name, ids in groups.items()}

    def per_category(self) -> list[dict[str, Any]]:
        """Return for each category its id, numbers (None where it never occurred) and counts."""
        rows = []
        for category_id, tally in self._tallies.items():
            rows.append(
                {
                    "id": category_id,
                    **(tally.numbers() or dict.fromkeys(("PQ", "SQ", "RQ"))),
                    "num_matched": tally.matched,
                    "num_false": tally.unmatched_found,
                    "num_missed": tally.unmatched_truth,
                }
            )
        return rows

    def _mean(self, category_ids: Sequence[int]) -> dict[str, Any]:
        rows = [self._tallies[category_id].numbers() for category_id in category_ids]
        known = [row for row in rows if row is not None]
        means = {
            key: sum(row[key] for row in known) / len(known) if known else None
            for key in ("PQ", "SQ", "RQ")
        }
        return {**means, "num_categories": len(known)}


def _indices(segment_map: np.ndarray, ids: Sequence[int], kind: str) -> np.ndarray:
    """Return (H, W): 0 for void, else the place of the pixel's segment, from 1."""
    known = np.array([VOID, *ids], dtype=np.int64)
    order = np.argsort(known)
    ordered = known[order]
    place = np.minimum(np.searchsorted(ordered, segment_map), len(known) - 1)
    strange = ordered[place] != segment_map
    if strange.any():
        raise ValueError(
            f"the {kind} map has the segment id {int(segment_map[strange][0])}, "
            "which none of its segments has"
        )
    return np.asarray(order[place])


def _shared_pixels(true: np.ndarray, found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return (T + 1, F + 1): how many pixels each true and each found segment share."""
    pairs = true.ravel() * shape[1] + found.ravel()
    return np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)


def _size(segment_map: np.ndarray) -> str:
    return "×".join(str(side) for side in segment_map.shape[::-1])
