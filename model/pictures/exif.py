"""The orientation that EXIF gives a picture, and the directory of a TIFF structure."""

from __future__ import annotations

import struct

# What comes before the TIFF structure in a JPEG.
EXIF_MARKER = b"Exif\0\0"

_TAG_ORIENTATION = 274
# Pictures have a few dozen entries; a directory of more is made to cost time.
_MOST_ENTRIES = 2000
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF block gives; 1 where it is broken or silent.

    Args:
        exif: a TIFF structure, with or without the leading "Exif" marker of JPEG.
    """
    try:
        value = directory(exif.removeprefix(EXIF_MARKER)).get(_TAG_ORIENTATION, 1)
    except (struct.error, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def directory(data: bytes) -> dict[int, int]:
    """Return the single whole numbers in a TIFF structure's first directory, by tag.

    Raises:
        ValueError: not a TIFF structure, or one with thousands of entries.
        struct.error: it is cut off.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("not a TIFF structure")
    (start,) = struct.unpack_from(order + "I", data, 4)
    (num_entries,) = struct.unpack_from(order + "H", data, start)
    if num_entries > _MOST_ENTRIES:
        raise ValueError(f"a directory of {num_entries} entries")
    tags: dict[int, int] = {}
    entries = data[start + 2 : start + 2 + 12 * num_entries]
    if len(entries) < 12 * num_entries:
        raise struct.error
    for tag, kind, count, value in struct.iter_unpack(order + "HHI4s", entries):
        if count == 1 and kind in _WHOLE_NUMBERS:
            tags[tag] = struct.unpack_from(order + _WHOLE_NUMBERS[kind], value)[0]
    return tags
