"""COCO's run lengths in NumPy: counts of a mask, and the string they are written as.

A mask is read column by column, top to bottom; counts alternate background and object,
background first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def counts_of(crop: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """Return the run lengths, (T,) int64, of a picture that is empty but for a crop.

    Args:
        crop: (h, w) bool, within the picture.
        top, left: where its first pixel lies.
    """
    h, w = crop.shape
    if top < 0 or left < 0 or top + h > height or left + w > width:
        raise ValueError(
            f"a {w}×{h} crop at ({left}, {top}) does not fit into a {width}×{height} picture"
        )
    columns = np.zeros((w, h + 2), dtype=bool)  # a background pixel above and below each column
    columns[:, 1:-1] = crop.T
    change = np.flatnonzero(columns[:, 1:] != columns[:, :-1])
    column, row = np.divmod(change, h + 1)
    positions = (left + column) * height + top + row
    starts, ends = positions[0::2], positions[1::2]
    if len(starts):
        # A run that reaches the last row goes on at the top of the next column.
        apart = ends[:-1] != starts[1:]
        starts = starts[np.concatenate(([True], apart))]
        ends = ends[np.concatenate((apart, [True]))]
    edges = np.empty(2 * len(starts) + 2, dtype=np.int64)
    edges[0], edges[-1] = 0, height * width
    edges[1:-1:2], edges[2:-1:2] = starts, ends
    counts = np.diff(edges)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return counts


def compress(counts: Sequence[int] | np.ndarray) -> bytes:
    """Return COCO's string for run lengths: five bits a character, differences from the fourth on.

    The difference is to the count two before; the first three are written as they are.
    """
    values = np.asarray(counts, dtype=np.int64).copy()
    if len(values) > 3:
        values[3:] -= np.asarray(counts, dtype=np.int64)[1:-2]
    groups = []
    going_on = []
    active = np.ones(len(values), dtype=bool)
    while active.any():
        low = values & 31
        values = values >> 5
        # Bit 4 is the sign: the number is complete when the rest only repeats it.
        more = np.where(low & 16, values != -1, values != 0) & active
        groups.append(low + 32 * more + 48)
        going_on.append(active)
        active = more
    if not groups:
        return b""
    characters = np.stack(groups, axis=1).astype(np.uint8)  # (counts, characters)
    return bytes(characters[np.stack(going_on, axis=1)])
