from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import decode_image
from model.pictures.errors import ImageError

WIDTH, HEIGHT = 13, 11
SAMPLES = {"1": 1, "P": 1, "L": 1, "LA": 2, "I;16": 2, "RGB": 3, "RGBA": 4}
HEADERS = {
    "1": (1, 0),
    "P": (8, 3),
    "L": (8, 0),
    "LA": (8, 4),
    "I;16": (16, 0),
    "RGB": (8, 2),
    "RGBA": (8, 6),
}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
PASSES += ((0, 1, 1, 2),)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: bytes, mode: str = "L", *, interlaced: bool = False) -> bytes:
    depth, colours = HEADERS[mode]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colours, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if mode == "P" else b""
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + data + chunk(b"IEND")


def row_bytes(mode: str) -> int:
    return 2 if mode == "1" else WIDTH * SAMPLES[mode]


@pytest.mark.parametrize("value", [0x00, 0x5B, 0xFF])
@pytest.mark.parametrize("mode", HEADERS)
def test_data_that_ends_before_the_last_row_is_truncated(mode: Any, value: int) -> None:
    row = b"\0" + bytes([value]) * row_bytes(mode)
    assert decode_image(png(row * HEIGHT, mode)).shape == (HEIGHT, WIDTH, 3)
    for kept in (1, HEIGHT // 2, HEIGHT - 1):
        with pytest.raises(ImageError, match="truncated"):
            decode_image(png(row * kept, mode))


def test_a_last_row_that_is_cut_is_truncated() -> None:
    rows = (b"\0" + bytes(range(WIDTH))) * HEIGHT
    with pytest.raises(ImageError, match="truncated"):
        decode_image(png(rows[:-3]))


def interlaced_rows(pixels: np.ndarray) -> bytes:
    found = b""
    for left, top, across, down in PASSES:
        found += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    return found


def test_an_interlaced_picture_is_whole_or_truncated() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    rows = interlaced_rows(pixels)
    image = decode_image(png(rows, interlaced=True))
    np.testing.assert_array_equal(image[..., 1], pixels)
    for lacking in (1, WIDTH + 1, len(rows) // 2):
        with pytest.raises(ImageError, match="truncated"):
            decode_image(png(rows[:-lacking], interlaced=True))


def test_more_data_than_rows_is_no_fault() -> None:
    rows = (b"\0" + bytes(range(WIDTH))) * (HEIGHT + 3)
    np.testing.assert_array_equal(decode_image(png(rows))[4, :, 0], np.arange(WIDTH))


def test_a_large_picture_that_ends_with_the_mark_is_counted_in_pieces() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1500, 1000), (0x5B, 0x5B, 0x5B)).save(buffer, "PNG")
    assert decode_image(buffer.getvalue()).min() == 0x5B
