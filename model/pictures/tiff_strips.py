"""Whether a page of a TIFF has all of its strips or tiles, and those all of their pixels.

Decoders leave black what is not there; libtiff passes over what libjpeg warns of, and does not look
at Deflate's checksums.
"""

from __future__ import annotations

import zlib

from model.pictures.errors import ImageError
from model.pictures.jpeg_decoder import check_jpeg
from model.pictures.tiff_pages import (
    BITS,
    COMPRESSION,
    DEFLATE,
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

# Strips may share their bytes, as empty tiles do, but one who lets all of them have the whole file
# makes it be read thousands of times.
_MOST_OF_FILE, _ROOM_FOR_SHARED = 4, 16 * 2**20
_PIECE_BYTES = 2**18


def check_strips(page: TiffPage) -> None:
    """Return if nothing of the picture is missing, as far as directory, JPEGs and checksums tell.

    Raises:
        ImageError: a strip or tile has no place in the file, a JPEG lacks some pixels, or Deflate's
            data is damaged.
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
    compression = page.number(COMPRESSION, RAW)
    if compression == RAW:
        return
    lengths = page.numbers(TILE_BYTES if is_tiled else STRIP_BYTES)
    if compression in DEFLATE and not lengths:
        lengths = (len(page.data),) * len(places)  # as the decoder guesses
    if len(lengths) < len(places):
        raise ImageError("the TIFF picture is damaged: its strips or tiles have no length")
    parts = [
        memoryview(page.data)[place : place + (length or len(page.data))]
        for place, length in zip(places, lengths, strict=False)
    ]
    if sum(map(len, parts)) > _MOST_OF_FILE * len(page.data) + _ROOM_FOR_SHARED:
        raise ImageError("the TIFF picture's strips or tiles lie over each other; save it anew")
    if compression == JPEG:
        _check_jpegs(page, parts, (across, down), is_tiled=is_tiled)
    elif compression in DEFLATE:
        bits = sum(page.numbers(BITS) or (1,))
        row_bytes = -(-across * max(bits, page.number(SAMPLES)) // 8)
        for part in parts:
            _check_deflated(part, down * row_bytes)


def _check_jpegs(
    page: TiffPage, parts: list[memoryview], size: tuple[int, int], *, is_tiled: bool
) -> None:
    tables = page.raw_bytes(JPEG_TABLES)[:-2]  # without its end marker
    across, down = size
    for number, part in enumerate(parts):
        # Of strips, the last may be lower than the others.
        rows = down if is_tiled else min(down, page.number(HEIGHT) - number * down)
        whole = tables + bytes(part[2:]) if len(tables) > 2 else bytes(part)
        check_jpeg(whole, rows if rows > 0 else down, across, most_rows=down)


def _check_deflated(packed: memoryview, num_bytes: int) -> None:
    """Return if the data has a right checksum; or none, and no more than `num_bytes`.

    Holes of zeros unpack to any number of bytes. Some more rows than needed harm nothing.
    """
    inflater = zlib.decompressobj()
    total = 0
    try:
        for start in range(0, len(packed), _PIECE_BYTES):
            piece = bytes(packed[start : start + _PIECE_BYTES])
            while piece and not inflater.eof and total <= 2 * num_bytes:
                total += len(inflater.decompress(piece, _PIECE_BYTES))
                piece = inflater.unconsumed_tail
    except zlib.error:
        total = -1
    if not inflater.eof and not 0 <= total <= num_bytes:
        raise ImageError("the TIFF picture is damaged: its data does not match its checksum")
