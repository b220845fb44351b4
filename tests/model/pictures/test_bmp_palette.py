from __future__ import annotations

import struct

import numpy as np
import pytest

from model.pictures.decode import decode_image
from model.pictures.errors import ImageError

RAMP = [(level, level, level) for level in range(256)]
BLACK_WHITE = [(0, 0, 0), (255, 255, 255)]
COLOURS = [(7 * number % 256, 255 - number, number) for number in range(256)]
WIDTH, HEIGHT = 13, 7


def packed(indices: np.ndarray, bits: int) -> bytes:
    """Rows from bottom to top, each of whole words."""
    row_bytes = (WIDTH * bits + 31) // 32 * 4
    spread = np.unpackbits(indices[::-1, :, None], axis=-1)[:, :, 8 - bits :]
    rows = np.packbits(spread.reshape(len(indices), -1), axis=-1)
    return b"".join(row.tobytes().ljust(row_bytes, b"\0") for row in rows)


def bmp(
    indices: np.ndarray,
    palette: list[tuple[int, int, int]],
    bits: int,
    *,
    said: int | None = None,
    is_old: bool = False,
) -> bytes:
    """said: how many colours the header gives."""
    data = packed(indices.astype(np.uint8), bits)
    height, width = indices.shape
    if is_old:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        number = len(palette) if said is None else said
        sizes = (40, width, height, 1, bits, 0, len(data), 0, 0, number, 0)
        header = struct.pack("<IiiHHIIiiII", *sizes)
    table = b"".join(bytes((b, g, r, 0)[: 3 if is_old else 4]) for r, g, b in palette)
    start = 14 + len(header) + len(table)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + table + data


def indices_below(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, number, (HEIGHT, WIDTH))


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("number", [1, 2, 4, 16, 256])
@pytest.mark.parametrize(
    "palette",
    [RAMP, BLACK_WHITE, BLACK_WHITE[::-1], COLOURS],
    ids=["ramp", "black and white", "white and black", "colours"],
)
def test_palette_is_never_taken_for_the_samples(
    palette: list[tuple[int, int, int]], number: int, bits: int
) -> None:
    colours = palette[: min(number, 2**bits)]
    indices = indices_below(len(colours))
    expected = np.array(colours, np.uint8)[indices]
    np.testing.assert_array_equal(decode_image(bmp(indices, colours, bits)), expected)


def test_palette_of_the_oldest_form_has_entries_of_three_bytes() -> None:
    indices = indices_below(16)
    data = bmp(indices, COLOURS[:16], 4, is_old=True)
    np.testing.assert_array_equal(decode_image(data), np.array(COLOURS, np.uint8)[indices])


def test_palette_ends_where_the_pixels_begin() -> None:
    indices = indices_below(16)
    data = bmp(indices, COLOURS[:16], 8, said=0)
    np.testing.assert_array_equal(decode_image(data), np.array(COLOURS, np.uint8)[indices])


@pytest.mark.parametrize("palette", [RAMP[:16], COLOURS[:16]])
def test_colours_beyond_the_palette_are_damage(palette: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ImageError, match="colour 16 of a palette of 16"):
        decode_image(bmp(np.full((HEIGHT, WIDTH), 16), palette, 8))


def test_palette_that_is_not_there_is_damage() -> None:
    with pytest.raises(ImageError, match="palette is not whole"):
        decode_image(bmp(indices_below(16), [], 4, said=16)[:60])
