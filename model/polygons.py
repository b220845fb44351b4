"""Run lengths to crops and outlines, without a mask of the whole picture.

Outlines follow the edges of the pixels, not their centres: pixel (x, y) is the square from
(x, y) to (x + 1, y + 1). So a single pixel is a ring of four corners, the areas of the outer
rings less those of the holes are exactly the number of pixels, and filling them gives the mask
back. Pixels that touch only at a corner are apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from model.structures import RLE


def crop_of(rle: RLE) -> tuple[np.ndarray, int, int]:
    """Return a mask's tight crop, bool (h, w), and its top and left in the picture.

    An empty mask has a crop of shape (0, 0) at 0, 0.

    Raises:
        ValueError: the counts don't fill the size.
    """
    height, width = rle["size"]
    ends = np.cumsum(decompress(rle["counts"]))
    if (ends[-1] if len(ends) else 0) != height * width:
        raise ValueError(f"run lengths don't fill a picture of {width}×{height} pixels")
    starts, stops = ends[: len(ends) // 2 * 2 : 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if len(starts) == 0:
        return np.zeros((0, 0), dtype=bool), 0, 0
    columns, tops, bottoms = _split_by_column(starts, stops, height)
    left, top = int(columns[0]), int(tops.min())
    h, w = int(bottoms.max()) - top, int(columns[-1]) - left + 1
    bounds = np.empty(2 * len(columns), dtype=np.int64)
    bounds[0::2] = (columns - left) * h + tops - top
    bounds[1::2] = (columns - left) * h + bottoms - top
    runs = np.diff(bounds, prepend=0, append=h * w)
    crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(w, h).T
    return np.ascontiguousarray(crop), top, left


def polygons(rle: RLE) -> tuple[list[list[float]], list[int]]:
    """Return a mask's outline: all its rings, and the indexes of those that are holes.

    A ring is flat, [x1, y1, x2, y2, …], in pixels of the picture, corners only, not closed by
    its first point. Outer rings run clockwise on the screen, holes the other way.
    """
    crop, top, left = crop_of(rle)
    rings: list[list[float]] = []
    holes: list[int] = []
    for ring, is_hole in _trace(crop):
        if is_hole:
            holes.append(len(rings))
        rings.append(np.add(ring, (left, top)).ravel().tolist())
    return rings, holes


def decompress(counts: bytes) -> np.ndarray:
    """Return the run lengths, int64, that COCO's string holds; background first."""
    characters = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if len(characters) == 0:
        return characters
    last = np.flatnonzero((characters & 0x20) == 0)  # the last character of each number
    if len(last) == 0 or last[-1] != len(characters) - 1:
        raise ValueError("the run lengths end inside a number")
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    shifts = 5 * (np.arange(len(characters)) - np.repeat(first, lengths))
    values = np.add.reduceat((characters & 0x1F) << shifts, first)
    values -= np.where(characters[last] & 0x10, np.int64(1) << (5 * lengths), 0)
    # From the fourth on each is the difference to the one two before.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _split_by_column(
    starts: np.ndarray, stops: np.ndarray, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut runs that go on in the next column: column, first row and row after the last of each."""
    first = starts // height
    num_columns = (stops - 1) // height - first + 1
    run = np.repeat(np.arange(len(starts)), num_columns)
    offset = np.arange(len(run)) - np.repeat(np.cumsum(num_columns) - num_columns, num_columns)
    columns = first[run] + offset
    tops = np.maximum(starts[run] - columns * height, 0)
    bottoms = np.minimum(stops[run] - columns * height, height)
    return columns, tops, bottoms


def _trace(crop: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Return the rings, each (n, 2) of x and y on the corner grid, and whether it is a hole.

    On every line of the corner grid the outline's corners, in order, are the ends of its edges,
    two by two. So each corner has one partner on its row and one in its column, and going from
    partner to partner, row and column in turn, walks a ring.
    """
    padded = np.pad(crop, 1).astype(np.int8)
    north_west, north_east = padded[:-1, :-1], padded[:-1, 1:]
    south_west, south_east = padded[1:, :-1], padded[1:, 1:]
    is_corner = (north_west + north_east + south_west + south_east) % 2 == 1
    is_crossing = (north_west == south_east) & (north_east == south_west)
    is_crossing &= north_west != north_east
    # Where two edges cross, the corner counts twice: for the edge from the left, then for the
    # one to the right. The copy that turns up goes first in its column; which one that is keeps
    # the two object pixels apart.
    y, x = np.nonzero(is_corner | is_crossing)
    twice = np.where(is_crossing[y, x], 2, 1)
    y, x = np.repeat(y, twice), np.repeat(x, twice)
    from_left = np.zeros(len(y), dtype=bool)
    from_left[:-1] = (y[1:] == y[:-1]) & (x[1:] == x[:-1])
    turns_up = (north_west[y, x] == 1) == from_left
    by_column = np.lexsort((~turns_up, y, x))
    column_partner = np.empty(len(y), dtype=np.int64)
    column_partner[by_column[0::2]] = by_column[1::2]
    column_partner[by_column[1::2]] = by_column[0::2]
    points = np.stack((x, y), axis=1)
    rings = []
    for ring in _cycles(column_partner.tolist()):
        is_hole = not south_east[y[ring[0]], x[ring[0]]]
        rings.append((points[ring[::-1] if is_hole else ring], is_hole))
    return rings


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
