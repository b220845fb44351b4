"""Run lengths to outlines: the work is that of the runs, however large the picture.

Outlines follow the edges of the pixels, not their centres: pixel (x, y) is the square from
(x, y) to (x + 1, y + 1). So a single pixel is a ring of four corners, the areas of the outer
rings less those of the holes are exactly the number of pixels, and filling them gives the mask
back. Pixels that touch only at a corner are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.masks.run_columns import Columns, columns_of

if TYPE_CHECKING:
    from model.structures import RLE

# Of an edge between two pixels of a column, going down it.
_ENTERS, _LEAVES = 1, -1


def polygons(rle: RLE) -> tuple[list[list[float]], list[int]]:
    """Return a mask's outline: all its rings, and the indexes of those that are holes.

    A ring is flat, [x1, y1, x2, y2, …], in pixels of the picture, corners only, not closed by
    its first point. Outer rings run clockwise on the screen, holes the other way.

    Raises:
        ValueError: the counts don't fill the size.
    """
    found = rings(columns_of(rle), rle["size"][0])
    holes = [index for index, (_, is_hole) in enumerate(found) if is_hole]
    return [points.ravel().tolist() for points, _ in found], holes


def rings(runs: Columns, height: int) -> list[tuple[np.ndarray, bool]]:
    """Return the rings of a mask, each (n, 2) of x and y on the corner grid, and whether a hole.

    On every line of the corner grid the outline's corners, in order, are the ends of its edges,
    two by two. So each corner has one partner on its row and one in its column, and going from
    partner to partner, row and column in turn, walks a ring.

    Args:
        height: of the picture.
    """
    if len(runs.columns) == 0:
        return []
    corners = _corners(runs, height)
    # Where two edges cross, the corner counts twice: for the edge from the left, then for the
    # one to the right. The copy that turns up goes first in its column; which one that is keeps
    # the two object pixels apart.
    twice = np.where(corners.is_crossing, 2, 1)
    x, y = np.repeat(corners.x, twice), np.repeat(corners.y, twice)
    west, east = np.repeat(corners.west, twice), np.repeat(corners.east, twice)
    from_left = np.zeros(len(y), dtype=bool)
    from_left[:-1] = (y[1:] == y[:-1]) & (x[1:] == x[:-1])
    turns_up = (west == _LEAVES) == from_left
    by_column = np.lexsort((~turns_up, y, x))
    column_partner = np.empty(len(y), dtype=np.int64)
    column_partner[by_column[0::2]] = by_column[1::2]
    column_partner[by_column[1::2]] = by_column[0::2]
    points = np.stack((x, y), axis=1)
    found = []
    for ring in _cycles(column_partner.tolist()):
        # A ring begins with its topmost edge, from the left.
        is_hole = bool(east[ring[0]] != _ENTERS)
        found.append((points[ring[::-1] if is_hole else ring], is_hole))
    return found


@dataclass(frozen=True, kw_only=True)
class _Corners:
    """The corners of an outline, row by row: (C,) each.

    west, east: the edge that meets the corner from the left, and the one to the right, that is
    in the column before and after it: what the mask does there going down; 0 for no edge.
    """

    x: np.ndarray
    y: np.ndarray
    west: np.ndarray
    east: np.ndarray

    @property
    def is_crossing(self) -> np.ndarray:
        """Whether it has both edges."""
        return np.asarray((self.west != 0) & (self.east != 0))


def _corners(runs: Columns, height: int) -> _Corners:
    """Return the corners: where an edge is in one column only, or turns into its contrary."""
    stride = height + 1
    edges = np.empty(2 * len(runs.columns), dtype=np.int64)
    edges[0::2] = runs.columns * stride + runs.tops
    edges[1::2] = runs.columns * stride + runs.bottoms
    touches = edges[1:] == edges[:-1]  # runs of one column without a pixel between them
    edges = edges[~(np.append(touches, False) | np.append(False, touches))]
    kinds = np.where(np.arange(len(edges)) % 2 == 0, _ENTERS, _LEAVES)
    # The corner (x, y) has the edge of column x to its right, that of column x - 1 to its left.
    keys = np.concatenate((edges, edges + stride))
    order = np.argsort(keys, kind="stable")
    keys, is_west = keys[order], order >= len(edges)
    kinds = np.concatenate((kinds, kinds))[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    slot = np.cumsum(first) - 1
    sides = np.zeros((2, np.count_nonzero(first)), dtype=np.int64)
    sides[is_west.astype(np.int64), slot] = kinds
    east, west = sides
    is_corner = east != west
    x, y = np.divmod(keys[first][is_corner], stride)
    by_row = np.lexsort((x, y))
    return _Corners(
        x=x[by_row], y=y[by_row], west=west[is_corner][by_row], east=east[is_corner][by_row]
    )


def _cycles(column_partner: list[int]) -> list[list[int]]:
    """Return each ring's corners, from its topmost, leftmost one to the right and on.

    Corners are numbered row by row: the partner on the row is the other one of the pair.
    """
    seen = bytearray(len(column_partner))
    cycles = []
    for start in range(0, len(column_partner), 2):
        if seen[start]:
            continue
        ring: list[int] = []
        corner = start
        while not seen[corner]:
            beside = corner ^ 1
            seen[corner] = seen[beside] = 1
            ring += (corner, beside)
            corner = column_partner[beside]
        cycles.append(ring)
    return cycles
