"""What decoding a picture may cost, from its structure alone."""

from __future__ import annotations

import struct

from model.pictures.header import ImageHeader
from model.pictures.jpeg_scans import check_scans
from model.pictures.jpeg_segments import frame_position
from model.pictures.tiff_pages import (
    BITS,
    COMPRESSION,
    JPEG,
    RAW,
    SAMPLES,
    STRIP_OFFSETS,
    TILE_OFFSETS,
    picture_page,
)

# Seconds on one core; what is decoded in practice takes the whole to a tenth of it.
_JPEG_BLOCK_S, _JPEG_BYTE_S = 0.3e-6, 4e-9
_ARITHMETIC_FACTOR, _ARITHMETIC_FRAMES = 4, (0xC9, 0xCA)
_PNG_BYTE_S = 1 / 120e6
_WEBP_PIXEL_S, _WEBP_BYTE_S = 1 / 40e6, 30e-9
_BMP_PIXEL_S, _BMP_RUN_PIXEL_S, _BMP_RUN_BYTE_S = 1 / 200e6, 0.3e-6, 1e-6
_TIFF_STRIP_S = 30e-6
_LZMA = 34925
# By compression, for a byte of the samples; LZMA takes its time for a byte of the file, too.
_TIFF_BYTE_S = {RAW: 1 / 400e6, 32773: 1 / 200e6, 50000: 1 / 150e6, _LZMA: 1 / 20e6}
_TIFF_OTHER_BYTE_S = 1 / 60e6
_TIFF_JPEG_PIXEL_S, _TIFF_FAX_PIXEL_S = 1 / 25e6, 1 / 30e6
_LZMA_FILE_BYTE_S = 1 / 3e6
_FAX = (2, 3, 4)

_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BMP_RUN_LENGTHS = (1, 2)


def decoding_seconds(data: bytes, header: ImageHeader) -> float:
    """Return for how long decoding may take a core, at the most.

    Raises:
        ImageError: the structure is one that is refused, whatever the pixels are.
        IndexError, struct.error: it ends inside its header.
    """
    pixels = header.height * header.width
    match header.format:
        case "JPEG":
            is_arithmetic = frame_position(data)[0] in _ARITHMETIC_FRAMES
            seconds = check_scans(data) * _JPEG_BLOCK_S + len(data) * _JPEG_BYTE_S
            return seconds * (_ARITHMETIC_FACTOR if is_arithmetic else 1)
        case "PNG":
            depth, colours = data[24], data[25]
            return pixels * depth * _PNG_SAMPLES.get(colours, 4) / 8 * _PNG_BYTE_S
        case "WebP":
            return pixels * _WEBP_PIXEL_S + len(data) * _WEBP_BYTE_S
        case "BMP":
            return _bmp_seconds(data, pixels)
        case _:
            return _tiff_seconds(data, pixels)


def _bmp_seconds(data: bytes, pixels: int) -> float:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    has_compression = header_bytes >= 40
    if has_compression and struct.unpack_from("<I", data, 30)[0] in _BMP_RUN_LENGTHS:
        return pixels * _BMP_RUN_PIXEL_S + len(data) * _BMP_RUN_BYTE_S
    return pixels * _BMP_PIXEL_S


def _tiff_seconds(data: bytes, pixels: int) -> float:
    page = picture_page(data)
    compression = page.number(COMPRESSION, RAW)
    num_strips = page.count(TILE_OFFSETS) or page.count(STRIP_OFFSETS)
    seconds = num_strips * _TIFF_STRIP_S
    if compression == JPEG:
        return seconds + pixels * _TIFF_JPEG_PIXEL_S
    if compression in _FAX:
        return seconds + pixels * _TIFF_FAX_PIXEL_S
    if compression == _LZMA:
        seconds += len(data) * _LZMA_FILE_BYTE_S
    bits = page.numbers(BITS) or (1,)
    sample_bytes = pixels * page.number(SAMPLES, len(bits)) * max(bits) / 8
    return seconds + sample_bytes * _TIFF_BYTE_S.get(compression, _TIFF_OTHER_BYTE_S)
