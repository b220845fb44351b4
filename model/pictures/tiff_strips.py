"""Whether a page of a TIFF has all of its strips or tiles, and those of JPEG all of their pixels.

Decoders leave black what is not there, and libtiff passes over what libjpeg warns of.
"""

from __future__ import annotations

from model.pictures.errors import ImageError
from model.pictures.jpeg_decoder import check_jpeg
from model.pictures.tiff_pages import (
    BITS,
    COMPRESSION,
    HEIGHT,
    JPEG,
    JPEG_TABLES,
    PLANAR,
    RAW,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    STRIP_ROWS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    TiffPage,
)


def check_strips(page: TiffPage) -> None:
    """Return if nothing of the picture is missing, as far as the directory and JPEGs tell.

    Raises:
        ImageError: a strip or tile has no place in the file, or a JPEG lacks some pixels.
    """
    width, height = page.number(WIDTH), page.number(HEIGHT)
    is_tiled = TILE_OFFSETS in page.entries
    across = page.number(TILE_WIDTH) if is_tiled else width
    down = page.number(TILE_HEIGHT) if is_tiled else min(page.number(STRIP_ROWS, height), height)
    if across < 1 or down < 1:
        raise ImageError("the TIFF picture is damaged: its strips or tiles have no size")
    num_planes = 1
    if page.number(PLANAR, 1) == 2:
        num_planes = page.number(SAMPLES, len(page.numbers(BITS)))
    num_needed = -(-width // across) * -(-height // down) * num_planes
    places = page.numbers(TILE_OFFSETS if is_tiled else STRIP_OFFSETS)[:num_needed]
    if len(places) < num_needed or 0 in places:
        raise ImageError(
            f"the TIFF picture is truncated or damaged: of {num_needed} strips or tiles "
            f"{num_needed - len(places) + places.count(0)} are missing"
        )
    if page.number(COMPRESSION, RAW) == JPEG:
        _check_jpegs(page, places, (across, down), is_tiled=is_tiled)


def _check_jpegs(
    page: TiffPage, places: tuple[int, ...], size: tuple[int, int], *, is_tiled: bool
) -> None:
    lengths = page.numbers(TILE_BYTES if is_tiled else STRIP_BYTES)
    tables = page.raw_bytes(JPEG_TABLES)[:-2]  # without its end marker
    if len(lengths) < len(places):
        raise ImageError("the TIFF picture is damaged: its strips or tiles have no length")
    across, down = size
    for number, (place, length) in enumerate(zip(places, lengths, strict=False)):
        part = page.data[place : place + length]
        # Of strips, the last may be lower than the others.
        rows = down if is_tiled else min(down, page.number(HEIGHT) - number * down)
        has_tables = len(tables) > 2
        check_jpeg(tables + part[2:] if has_tables else part, rows if rows > 0 else down, across)
