"""Whether Zstandard inside a TIFF can be decoded."""

from __future__ import annotations

import io
import struct
from functools import cache

from PIL.TiffImagePlugin import TiffImageFile

# A TIFF of one grey pixel: Zstandard's frame of one byte, then the directory.
_ZSTANDARD_PIXEL = b"II*\0\x14\0\0\0" + b"\x28\xb5\x2f\xfd\x20\1\x09\0\0\0" + bytes(2)
_ZSTANDARD_PIXEL += struct.pack("<H", 9) + b"".join(
    struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value)
    for tag, value in (
        *((256, 1), (257, 1), (258, 8), (259, 50000), (262, 1)),
        *((273, 8), (277, 1), (278, 1), (279, 10)),
    )
)
_ZSTANDARD_PIXEL += bytes(4)


@cache
def has_zstandard() -> bool:
    """Say whether Pillow's libtiff has Zstandard: that of older wheels has not."""
    try:  # to read one; old Pillow crashes where it is to write one
        TiffImageFile(io.BytesIO(_ZSTANDARD_PIXEL)).load()
    except OSError:
        return False
    return True
