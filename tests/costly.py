"""Pictures that cost more to decode than their size lets expect."""

from __future__ import annotations

import struct


def run_length_bmp(width: int, height: int) -> bytes:
    """Every run has one pixel: Pillow takes one turn of a loop in Python for each."""
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    runs = (b"\1\7" * width + b"\0\0") * height + b"\0\1"
    offset = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset) + header + palette + runs
