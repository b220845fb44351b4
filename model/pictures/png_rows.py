"""Whether a PNG's data had all of its rows.

Where the data ends early and zlib's stream is whole, Pillow leaves the rest of the rows as they
were and says nothing.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from model.pictures.errors import ImageError

# What the last row is filled with before it is read; few pictures end with such a row.
_MARK, _DEEP_MARK = 0x5B, 0x5B5B
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the header's colour type
# Adam7: first column and row of each pass, then the steps.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_PIECE_BYTES = 2**20


class PngFile(PngImageFile):
    """A PNG whose last row is marked until it is read: of one that is not interlaced, the end."""

    def load_prepare(self) -> None:
        """Make room for the pixels."""
        super().load_prepare()
        num_bands, mark = len(self.getbands()), _mark(self.mode)
        self.im.paste(mark if num_bands == 1 else (mark,) * num_bands, _last_row(self))


def check_rows(image: PngFile, data: bytes) -> None:
    """Return if all rows of a loaded picture came from its data, which is in one chunk.

    Raises:
        ImageError: the data ends before the last row does.
    """
    last_row = np.asarray(image.crop(_last_row(image)))
    if not image.info.get("interlace") and (last_row != _mark(image.mode)).any():
        return
    position = data.index(b"IDAT")
    length = int.from_bytes(data[position - 4 : position])
    if not _inflates_to(data[position + 4 : position + 4 + length], _num_bytes(data)):
        raise ImageError("the PNG picture is truncated: its data ends before its last row")


def _mark(mode: str) -> int:
    return 1 if mode == "1" else _DEEP_MARK if mode.startswith("I") else _MARK


def _last_row(image: Image.Image) -> tuple[int, int, int, int]:
    width, height = image.size
    return (0, height - 1, width, height)


def _num_bytes(data: bytes) -> int:
    """Return the bytes of all rows, of each pass of an interlaced picture; a filter comes first."""
    width, height, depth, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _SAMPLES[colours]
    total = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0:
            total += max(rows, 0) * (1 + -(-columns * bits // 8))
    return total


def _inflates_to(packed: bytes, num_bytes: int) -> bool:
    inflater = zlib.decompressobj()
    while num_bytes > 0 and packed:
        piece = inflater.decompress(packed, min(num_bytes, _PIECE_BYTES))
        if not piece:
            return False
        num_bytes -= len(piece)
        packed = inflater.unconsumed_tail
    return num_bytes <= 0 or len(inflater.decompress(b"", num_bytes)) >= num_bytes
