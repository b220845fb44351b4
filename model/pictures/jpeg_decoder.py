"""JPEG to pixels by libjpeg-turbo, and what its warnings mean.

libjpeg fills up what it cannot read and only warns. Its first warning tells whether the picture is
whole: what stands between a picture's parts harms nothing, anything else is filler for pixels.
"""

from __future__ import annotations

import re
import struct

import numpy as np
import simplejpeg
from PIL import Image

from model.pictures.errors import ImageError, UnsupportedImageError
from model.pictures.jpeg_scans import check_scans
from model.pictures.jpeg_segments import check_jpeg_end, header_end, jpeg_segments

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_END_OF_IMAGE = b"\xff\xd9"
# Padding of one value may begin inside the last bytes of the data; other bytes that are left over
# are data for which the picture has no place, so that some of it was read wrongly.
_MOST_LEFT_OVER = 16
_PADDING_IN_DATA = 32
# Warnings of headers, which say nothing of the pixels.
_ABOUT_HEADERS = ("Invalid SOS parameters", "Warning: unknown JFIF", "Unknown Adobe")

_JFIF, _ADOBE = 0xE0, 0xEE


def decode_jpeg(data: bytes) -> np.ndarray:
    """Return the pixels as stored, RGB uint8 (H, W, 3), the same as Pillow's.

    Raises:
        UnsupportedImageError: neither grey, three colours nor CMYK.
        ImageError: some of the pixels are not in the data.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:
        raise _damaged() from None
    is_cmyk = colours in ("CMYK", "YCCK")
    if not is_cmyk and colours not in ("YCbCr", "Gray", "RGB"):
        raise UnsupportedImageError("a JPEG of such colours is not decoded here; send it in RGB")
    pixels = np.empty((height, width, 4 if is_cmyk else 3), np.uint8)
    _decode_into(pixels, data, "CMYK" if is_cmyk else "RGB")
    if not is_cmyk:
        return pixels
    inks = Image.frombytes("CMYK", (width, height), (255 - pixels).tobytes())  # Adobe's are inverse
    return np.array(inks.convert("RGB"))


def check_jpeg(data: bytes, height: int, width: int, *, most_rows: int) -> None:
    """Return if a JPEG inside another format has all of its pixels, and as many as it must.

    Planes may have lower resolution. The pixels are decoded to an eighth of their size.

    Args:
        most_rows: that it may have, as a last strip that is as high as the others.
    Raises:
        ImageError: it has not, or more scans than any encoder makes.
    """
    check_jpeg_end(data)
    check_scans(data, room_for_blocks=0)
    try:
        its_height, its_width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:
        raise _damaged() from None
    if not height <= its_height <= most_rows or its_width != width:
        raise _damaged()
    space = "CMYK" if colours in ("CMYK", "YCCK") else "GRAY"
    pixels = np.empty((its_height, its_width, 4 if space == "CMYK" else 1), np.uint8)
    _decode_into(pixels, data, space, smaller=8)


def _decode_into(pixels: np.ndarray, data: bytes, colours: str, smaller: int = 1) -> None:
    warning = _warning_of(pixels, data, colours, smaller)
    if warning is None or _is_harmless_end(warning, data):
        return
    found = _EXTRANEOUS.search(warning)
    if found is not None or warning.startswith(_ABOUT_HEADERS):
        # libjpeg keeps its first warning only, so there may be others.
        plain = _with_plain_header(data)
        if plain != data:
            warning = _warning_of(pixels, plain, colours, smaller)
            if warning is None or _is_harmless_end(warning, plain):
                return
    raise _damaged()


def _warning_of(pixels: np.ndarray, data: bytes, colours: str, smaller: int) -> str | None:
    """Decode in full, and return the first warning."""
    try:
        simplejpeg.decode_jpeg(data, colours, min_factor=smaller, buffer=pixels)
    except ValueError as error:
        return str(error)
    return None


def _is_harmless_end(warning: str, data: bytes) -> bool:
    """Say whether no more is wrong than padding between the data and the end marker."""
    found = _EXTRANEOUS.search(warning)
    if found is None or found[2] != "d9":
        return False
    number = int(found[1])
    if number <= _MOST_LEFT_OVER:
        return True
    # libjpeg has stopped at the first end marker that is no segment's; padding is of one value.
    end = data.find(_END_OF_IMAGE, header_end(data))
    while end >= 0:
        left_over = data[end - number : end]
        if left_over == left_over[:1] * number:
            before = data[max(0, end - number - _PADDING_IN_DATA) : end - number]
            return before != left_over[:1] * len(before)
        end = data.find(_END_OF_IMAGE, end + 1)
    return False


def _with_plain_header(data: bytes) -> bytes:
    """Return the JPEG with nothing between its segments and with usual values in them."""
    parts, num_components = [data[:2]], 0
    for marker, position in jpeg_segments(data):
        end = position + struct.unpack_from(">H", data, position)[0]
        body = bytearray(data[position:end])
        if marker == _JFIF and body[2:7] == b"JFIF\0" and len(body) > 7:
            body[7] = 1
        elif marker == _ADOBE and body[2:7] == b"Adobe" and len(body) > 13:
            body[13] = min(body[13], 2)
        elif 0xC0 <= marker <= 0xC2:
            num_components = body[7]
        parts += [bytes((0xFF, marker)), bytes(body)]
    start = header_end(data)
    scan = bytearray(data[start:])
    if scan[2] == num_components and not _is_progressive(data):
        place = 3 + 2 * num_components
        scan[place : place + 3] = (0, 63, 0)
    return b"".join((*parts, b"\xff\xda", scan))


def _is_progressive(data: bytes) -> bool:
    return any(marker in (0xC2, 0xCA) for marker, _ in jpeg_segments(data))


def _damaged() -> ImageError:
    return ImageError("the JPEG picture is truncated or damaged: some of its pixels cannot be read")
