"""An outline with fewer corners, within a tolerance."""

from __future__ import annotations

import numpy as np

# Distances measured for one ring, by its corners: a ring that winds and winds would take the
# square of them. What is not looked at any more stays as it is.
_WORK_PER_CORNER = 64


def simplified_ring(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Return some of a ring's corners, so that none of the others is further from the new outline.

    By Douglas and Peucker (1973), from the first corner and the one furthest from it. A ring that
    would fall together stays as it is.

    Args:
        ring: (n, 2), not closed by its first corner.
        tolerance: in pixels; 0 keeps all corners of an outline of pixels.
    """
    if tolerance <= 0 or len(ring) <= 4:
        return ring
    points = np.concatenate((ring, ring[:1])).astype(np.float64)
    far = int(np.square(points - points[0]).sum(axis=1).argmax())
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, far]] = True
    spans = [(0, far), (far, len(points) - 1)]
    work = _WORK_PER_CORNER * len(points)
    while spans:
        first, last = spans.pop()
        work -= last - first
        if work < 0:
            keep[first:last] = True
            continue
        if last - first < 2:
            continue
        distances = _distances(points[first + 1 : last], points[first], points[last])
        at = int(distances.argmax())
        if distances[at] > tolerance:
            middle = first + 1 + at
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    kept = ring[keep[:-1]]
    return kept if len(kept) >= 3 else ring


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return how far points are from a stretch of a line."""
    along = end - start
    length = float(along @ along)
    offsets = points - start
    share = np.clip(offsets @ along / length, 0, 1) if length else np.zeros(len(points))
    distances: np.ndarray = np.linalg.norm(offsets - share[:, None] * along, axis=1)
    return distances
