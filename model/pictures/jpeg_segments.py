"""The segments of a JPEG before its data, and its end."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from model.pictures.errors import ImageError

# A real JPEG has below 300 segments before its data (255 are one big colour profile).
_MAX_SEGMENTS = 4096
_OTHER_THAN_FF = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
JPEG_LS = 0xF7  # its frame header
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {JPEG_LS}


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment before the data, and where its length stands.

    Raises:
        IndexError, struct.error: the JPEG ends before.
        ImageError: it has thousands of segments.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = data.find(b"\xff", position)  # other bytes between segments are skipped
        if position < 0:
            raise IndexError
        found = _OTHER_THAN_FF.search(data, position)  # a marker may be padded with more of them
        if found is None:
            raise IndexError
        position = found.end()
        marker = data[position - 1]
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            continue  # these have no body
        if marker in (0xD9, 0xDA):
            return
        yield marker, position
        position += struct.unpack_from(">H", data, position)[0]
    raise ImageError(f"the JPEG picture has more than {_MAX_SEGMENTS} segments")


def header_end(data: bytes) -> int:
    """Return where the first scan header's length stands.

    Raises:
        IndexError, struct.error: the JPEG ends before.
        ImageError: it has no scan.
    """
    end = 2
    for _, position in jpeg_segments(data):
        end = position + struct.unpack_from(">H", data, position)[0]
    found = _MARKER.search(data, end)
    if found is None or data[found.end() - 1] != _START_OF_SCAN:
        raise ImageError("the JPEG picture is truncated: it has no data")
    return found.end()


def frame_position(data: bytes) -> tuple[int, int]:
    """Return the frame header's marker, and where its length stands.

    Raises:
        IndexError, struct.error: the JPEG ends before.
        ImageError: it has none.
    """
    for marker, position in jpeg_segments(data):
        if marker in _FRAMES:
            return marker, position
    raise ImageError("the JPEG picture has no frame header before its data")


def check_jpeg_end(data: bytes) -> None:
    """Return if the JPEG has an end-of-image marker behind its header.

    Data never has the marker's bytes in it, as every FF there is followed by 00. Segments before it
    may: a thumbnail has an end of its own.

    Raises:
        ImageError: it has none, so it is truncated.
        IndexError, struct.error: it ends inside its header.
    """
    if data.rfind(_END_OF_IMAGE, header_end(data)) < 0:  # soon found: it is at the end
        raise ImageError("the JPEG picture is truncated: its end marker is missing")
