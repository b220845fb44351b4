"""Lies in the structure of JPEGs and TIFFs: scans, ends, planes and pages."""

from __future__ import annotations

import random
import re
import struct

from fuzz_bytes import Mutation

_SCAN = re.compile(rb"\xff\xda")
_END = b"\xff\xd9"
_LIES = {254: (0, 1, 4), 258: (1, 8, 10, 12, 14, 16, 32), 259: (1, 5, 6, 7, 8, 50001)}
_LIES |= {262: (0, 1, 2, 3, 5, 6, 8, 32803), 277: (1, 2, 3, 4, 5), 278: (1, 2, 7), 284: (1, 2)}
_LIES |= {317: (1, 2, 3), 338: (0, 1, 2), 339: (1, 2, 3, 4)}


def jpeg_scans(data: bytes, draw: random.Random) -> bytes:
    """Repeat, drop or empty whole scans."""
    starts = [found.start() for found in _SCAN.finditer(data)]
    if not starts:
        return data
    number = draw.randrange(len(starts))
    first = starts[number]
    last = starts[number + 1] if number + 1 < len(starts) else max(data.rfind(_END), first)
    scan = data[first:last]
    match draw.randrange(3):
        case 0:
            return data[:last] + scan * draw.choice((1, 3, 30, 300, 600)) + data[last:]
        case 1:
            return data[:first] + data[last:]
        case _:
            head = scan[: 2 + int.from_bytes(scan[2:4])]
            return data[:first] + head * draw.choice((1, 3, 300)) + data[last:]


def jpeg_cut(data: bytes, draw: random.Random) -> bytes:
    """Cut it and put an end marker there, or make a hole of zeros."""
    start = data.find(b"\xff\xda") + 14
    if start < 14 or start >= len(data) - 2:
        return data
    place = draw.randrange(start, len(data) - 2)
    if draw.random() < 0.5:
        return data[:place] + _END
    length = min(draw.choice((8, 100, 1000)), len(data) - 2 - place)
    return data[:place] + bytes(length) + data[place + length :]


def tiff_kind(data: bytes, draw: random.Random) -> bytes:
    """Say that it is planar, inverted, a thumbnail, of other samples or otherwise compressed."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return data
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return data
    (num_entries,) = struct.unpack_from(order + "H", data, start)
    spoilt = bytearray(data)
    places = []
    for number in range(num_entries):
        place = start + 2 + 12 * number
        if place + 12 > len(data):
            break
        tag, kind, count = struct.unpack_from(order + "HHI", data, place)
        if tag in _LIES and kind == 3 and count == 1:
            places.append((place, tag))
    if places:
        place, tag = draw.choice(places)
        struct.pack_into(order + "H", spoilt, place + 8, draw.choice(_LIES[tag]))
    return bytes(spoilt)


def tiff_pages(data: bytes, draw: random.Random) -> bytes:
    """Lead from a directory to itself, to another copy of it, or nowhere."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return data
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return data
    end = start + 2 + 12 * struct.unpack_from(order + "H", data, start)[0]
    if end + 4 > len(data):
        return data
    spoilt = bytearray(data) + data[start : end + 4]
    target = draw.choice((start, len(data), len(data) + 1000, 0, 8))
    struct.pack_into(order + "I", spoilt, end, target)
    return bytes(spoilt)


STRUCTURES: dict[str, tuple[Mutation, ...]] = {
    "JPEG": (jpeg_scans, jpeg_cut),
    "TIFF": (tiff_kind, tiff_kind, tiff_pages),
}
