"""A mask's run lengths read column by column: as a tight crop, or as rows from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from model.structures import RLE

_BLOCK_BYTES = 2**18  # stays in a core's own cache


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The runs of a mask, cut where they go on in the next column.

    columns: (R,) int64, ascending. tops, bottoms: (R,) the first row of each run, and the row
    after its last.
    """

    columns: np.ndarray
    tops: np.ndarray
    bottoms: np.ndarray

    @property
    def num_pixels(self) -> int:
        """The pixels of the mask."""
        return int((self.bottoms - self.tops).sum())


def columns_of(rle: RLE) -> Columns:
    """Return a mask's runs. ValueError if the counts don't fill the size."""
    height, width = rle["size"]
    ends = np.cumsum(decompress(rle["counts"]))
    if (ends[-1] if len(ends) else 0) != height * width:
        raise ValueError(f"run lengths don't fill a picture of {width}×{height} pixels")
    starts, stops = ends[: len(ends) // 2 * 2 : 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    first = starts // height
    num_columns = (stops - 1) // height - first + 1
    run = np.repeat(np.arange(len(starts)), num_columns)
    offset = np.arange(len(run)) - np.repeat(np.cumsum(num_columns) - num_columns, num_columns)
    columns = first[run] + offset
    return Columns(
        columns=columns,
        tops=np.maximum(starts[run] - columns * height, 0),
        bottoms=np.minimum(stops[run] - columns * height, height),
    )


def crop_of(rle: RLE) -> tuple[np.ndarray, int, int]:
    """Return a mask's tight crop, bool (h, w), and its top and left in the picture.

    An empty mask has a crop of shape (0, 0) at 0, 0.

    Raises:
        ValueError: the counts don't fill the size.
    """
    runs = columns_of(rle)
    if len(runs.columns) == 0:
        return np.zeros((0, 0), dtype=bool), 0, 0
    blocks = [block for _, _, block in row_blocks(runs)]
    return np.concatenate(blocks).view(bool), int(runs.tops.min()), int(runs.columns[0])


def row_blocks(runs: Columns) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield a mask's tight crop from top to bottom, some rows at a time.

    Yields:
        The first row and column in the picture, and the rows: uint8 (h, w), 0 or 1.
    """
    if len(runs.columns) == 0:
        return
    left, top, bottom = int(runs.columns[0]), int(runs.tops.min()), int(runs.bottoms.max())
    width = int(runs.columns[-1]) - left + 1
    # Going down a column, the mask changes at the first row of each run and after its last.
    rows = np.concatenate((runs.tops, runs.bottoms))
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], np.concatenate((runs.columns, runs.columns))[order] - left
    num_rows = max(1, _BLOCK_BYTES // width)
    above = np.zeros(width, dtype=np.uint8)
    for first in range(top, bottom, num_rows):
        block = np.zeros((min(num_rows, bottom - first), width), dtype=np.uint8)
        begin, end = np.searchsorted(rows, (first, first + len(block)))
        # A column may change twice in one row, by runs that touch: then it doesn't.
        np.bitwise_xor.at(block, (rows[begin:end] - first, columns[begin:end]), 1)
        for row in block:
            row ^= above
            above = row
        yield first, left, block


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
