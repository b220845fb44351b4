"""The palette of a BMP, looked up here.

Pillow takes a palette that it holds for a grey ramp for the samples themselves, and so misreads
8-bit pictures of black and white; it also has colours of its own for indices beyond the palette.
"""

from __future__ import annotations

import struct

import numpy as np

from model.pictures.errors import ImageError

_FILE_HEADER_BYTES, _OLD_HEADER_BYTES, _SHORT_HEADER_BYTES = 14, 12, 16
_MOST_BITS = 8
_NO_GREY = b"\1\0\0"


def with_palette_apart(data: bytes) -> tuple[bytes, np.ndarray | None]:
    """Return the BMP with a palette that nobody takes for grey, and its colours.

    These are RGB uint8 (N, 3); None where it has none. The palette may be shorter than it says.

    Raises:
        ImageError: the palette is not whole. struct.error: the header is not.
    """
    (header_bytes,) = struct.unpack_from("<I", data, _FILE_HEADER_BYTES)
    is_old = header_bytes == _OLD_HEADER_BYTES
    (bits,) = struct.unpack_from("<H", data, 24 if is_old else 28)
    if not 0 < bits <= _MOST_BITS or header_bytes == _SHORT_HEADER_BYTES:
        return data, None
    number = 0 if is_old else struct.unpack_from("<I", data, 46)[0]
    number = min(number or 2**bits, 2**bits)
    entry_bytes = 3 if is_old else 4
    start = _FILE_HEADER_BYTES + header_bytes
    (pixels_start,) = struct.unpack_from("<I", data, 10)
    if pixels_start > start:  # else they come behind the palette
        number = min(number, (pixels_start - start) // entry_bytes)
    if number < 1 or start + entry_bytes * number > len(data):
        raise ImageError("the BMP picture is truncated or damaged: its palette is not whole")
    entries = np.frombuffer(data, np.uint8, number * entry_bytes, start).reshape(number, -1)
    marked = b"".join((data[:start], _NO_GREY, data[start + len(_NO_GREY) :]))
    return marked, entries[:, 2::-1]


def looked_up(indices: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the colours of a picture, RGB uint8 (H, W, 3).

    Raises:
        ImageError: an index is beyond the palette.
    """
    if indices.max() >= len(colours):
        raise ImageError(
            f"the BMP picture is damaged: it has colour {indices.max()} of a palette of "
            f"{len(colours)}"
        )
    return np.take(colours, indices, axis=0)
