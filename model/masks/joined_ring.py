"""A mask as one ring, for tools that know no holes and no parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.masks.polygons import rings
from model.masks.run_columns import columns_of
from model.masks.simplified_ring import simplified_ring

if TYPE_CHECKING:
    from model.structures import RLE


def joined_ring(rle: RLE, tolerance: float = 0) -> np.ndarray:
    """Return a mask's outline as one ring, (n, 2) of x and y, not closed; empty for no pixel.

    All parts and holes belong to it: from the largest part a line goes to each and back the same
    way, which encloses nothing. So the ring's area is the number of pixels, and filling it, by
    the even-odd rule or by winding, gives the mask back.

    Args:
        tolerance: of the outline, in pixels; see `simplified_ring`. Above 0 it is no longer exact.

    Raises:
        ValueError: the counts don't fill the size.
    """
    exact = [points for points, _ in rings(columns_of(rle), rle["size"][0])]
    found = [simplified_ring(points, tolerance) for points in exact]
    return join(found)


def join(found: list[np.ndarray]) -> np.ndarray:
    """Return rings as one, each reached from the nearest corner of the one with most corners."""
    if not found:
        return np.zeros((0, 2), dtype=np.int64)
    trunk = max(range(len(found)), key=lambda index: len(found[index]))
    main = found[trunk]
    detours: dict[int, list[np.ndarray]] = {}
    for index, ring in enumerate(found):
        if index == trunk:
            continue
        corner = int(np.abs(main - ring[0]).sum(axis=1).argmin())
        detours.setdefault(corner, []).append(ring)
    pieces: list[np.ndarray] = []
    start = 0
    for corner, branches in sorted(detours.items()):
        pieces.append(main[start : corner + 1])
        for ring in branches:
            pieces += (ring, ring[:1], main[corner : corner + 1])
        start = corner + 1
    return np.concatenate((*pieces, main[start:]))
