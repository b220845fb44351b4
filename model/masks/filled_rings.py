"""Outlines to masks: a pixel belongs to a ring if its centre lies in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.masks.run_lengths import compress, counts_of
from model.structures import RLE

_MAX_COORDINATE = 1e6
# Rows that a mask's edges cross, all together.
_MAX_CROSSINGS = 2**24


def mask_of_rings(
    rings: Sequence[np.ndarray], height: int, width: int, *, has_holes: bool = False
) -> RLE:
    """Return the mask that rings enclose: the inverse of `model.masks.polygons`.

    Args:
        rings: (n, 2) of x and y each, in pixels; what leaves the picture is cut off.
        has_holes: whether rings inside others are holes; else the rings' union is meant.

    Raises:
        ValueError: coordinates are far outside of any picture, or the rings too long.
    """
    rings = [ring for ring in rings if len(ring) >= 3]
    if any(np.abs(ring).max() > _MAX_COORDINATE for ring in rings):
        raise ValueError(f"a coordinate is beyond {_MAX_COORDINATE:g}")
    box = box_of_rings(rings, height, width)
    if box is None:
        return RLE(size=[height, width], counts=compress([height * width]))
    left, top, right, bottom = box
    crop = np.zeros((bottom - top, right - left), dtype=bool)
    for group in [rings] if has_holes else [[ring] for ring in rings]:
        part = box_of_rings(group, height, width)
        if part is not None:
            x0, y0, x1, y1 = part
            crop[y0 - top : y1 - top, x0 - left : x1 - left] |= _even_odd(group, part)
    return RLE(size=[height, width], counts=compress(counts_of(crop, top, left, height, width)))


def box_of_rings(
    rings: Sequence[np.ndarray], height: int, width: int
) -> tuple[int, int, int, int] | None:
    """Return the pixels that rings may have: left, top, and the column and row after the last."""
    if not rings:
        return None
    low = np.min([ring.min(axis=0) for ring in rings], axis=0)
    high = np.max([ring.max(axis=0) for ring in rings], axis=0)
    left, top = np.maximum(np.floor(low), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(high), (width, height)).astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None


def _even_odd(rings: Sequence[np.ndarray], box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the pixels of a box whose centres lie in an odd number of the rings."""
    left, top, right, bottom = box
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low - 0.5), top, bottom).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), top, bottom).astype(np.int64)
    num_rows = last - first
    total = int(num_rows.sum())
    if total > _MAX_CROSSINGS:
        raise ValueError(f"its outline crosses {total} rows; at most {_MAX_CROSSINGS} are read")
    edge = np.repeat(np.arange(len(start)), num_rows)
    row = first[edge] + np.arange(total) - np.repeat(np.cumsum(num_rows) - num_rows, num_rows)
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(x - 0.5), left, right).astype(np.int64)
    toggles = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    np.bitwise_xor.at(toggles, (row - top, column - left), 1)
    return np.bitwise_xor.accumulate(toggles, axis=1)[:, :-1].astype(bool)
