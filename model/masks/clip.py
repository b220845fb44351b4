"""Polygons cut to a rectangle, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_Point = tuple[float, float]

# Slivers below this many square pixels are noise of the arithmetic, not a piece of an object.
_MIN_AREA = 1e-9


def clip_polygon(
    polygon: np.ndarray, left: float, top: float, right: float, bottom: float
) -> list[np.ndarray]:
    """Return the pieces of a polygon inside a rectangle, each (n, 2) float64.

    A concave polygon may fall apart; the pieces have no seams along the rectangle's sides, so
    their extent is the extent of what is visible. Overlaps follow the even-odd rule.

    Args:
        polygon: (n, 2) float64, x and y of the corners, not closed.
        left, top, right, bottom: the rectangle, in the same frame.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if low[0] >= left and low[1] >= top and high[0] <= right and high[1] <= bottom:
        return [polygon]
    rings = [[(float(x), float(y)) for x, y in polygon]]
    for axis, bound, sign in ((0, left, 1), (0, right, -1), (1, top, 1), (1, bottom, -1)):
        rings = [piece for ring in rings for piece in _cut(ring, axis, bound, sign)]
    pieces = [np.array(ring) for ring in rings]
    return [piece for piece in pieces if abs(signed_area(piece)) > _MIN_AREA]


def signed_area(polygon: np.ndarray) -> float:
    """Return the area in square units, negative if the corners run the other way."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _cut(ring: list[_Point], axis: int, bound: float, sign: int) -> list[list[_Point]]:
    """Keep what lies on the side of the line `coordinate = bound` that `sign` points to."""
    inside = [sign * (point[axis] - bound) > 0 for point in ring]
    if all(inside):
        return [ring]
    if not any(inside):
        return []
    return _join(_chains(ring, inside, axis, bound), 1 - axis)


def _chains(
    ring: list[_Point], inside: Sequence[bool], axis: int, bound: float
) -> list[list[_Point]]:
    """Return the stretches inside, each from its entry on the line to its exit on the line."""
    start = next(i for i in range(len(ring)) if inside[i] and not inside[i - 1])
    chains: list[list[_Point]] = []
    for step in range(len(ring)):
        i = (start + step) % len(ring)
        before, point = ring[i - 1], ring[i]
        if inside[i] and not inside[i - 1]:
            chains.append([_crossing(before, point, axis, bound)])
        if inside[i]:
            chains[-1].append(point)
        elif inside[i - 1]:
            chains[-1].append(_crossing(before, point, axis, bound))
    return chains


def _crossing(a: _Point, b: _Point, axis: int, bound: float) -> _Point:
    share = (bound - a[axis]) / (b[axis] - a[axis])
    along = a[1 - axis] + share * (b[1 - axis] - a[1 - axis])
    return (bound, along) if axis == 0 else (along, bound)


def _join(chains: list[list[_Point]], along: int) -> list[list[_Point]]:
    """Join chains along the line into rings.

    In the order on the line, the ends alternate between coming out of the polygon's inside and
    going into it: the stretches between the first and the second, the third and the fourth, …
    are the new sides.
    """
    ends = [(chain[-tail][along], i, tail) for i, chain in enumerate(chains) for tail in (0, 1)]
    ends.sort()
    partner: dict[tuple[int, int], tuple[int, int]] = {}
    for (_, i, tail), (_, j, other) in zip(ends[0::2], ends[1::2], strict=True):
        partner[i, tail], partner[j, other] = (j, other), (i, tail)
    rings = []
    left = dict.fromkeys(range(len(chains)))
    while left:
        chain, entry = next(iter(left)), 0
        ring: list[_Point] = []
        while chain in left:
            del left[chain]
            ring += chains[chain] if entry == 0 else chains[chain][::-1]
            chain, entry = partner[chain, 1 - entry]
        rings.append(ring)
    return rings
