"""Blind ways to spoil bytes: each takes them and random numbers, and returns new bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]

# Sizes and counts at which arithmetic goes wrong.
NUMBERS: tuple[int, ...] = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    127,
    128,
    255,
    256,
    257,
    4095,
    16_383,
    16_384,
    16_385,
    32_767,
)
NUMBERS += (32_768, 65_535, 65_536, 2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)


def flip_bits(data: bytes, draw: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16, 64))):
        if spoilt:
            spoilt[_place(spoilt, draw)] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def set_bytes(data: bytes, draw: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        if spoilt:
            spoilt[_place(spoilt, draw)] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    return bytes(spoilt)


def truncate(data: bytes, draw: random.Random) -> bytes:
    return data[: _place(data, draw)] if data else data


def drop(data: bytes, draw: random.Random) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + data[end:]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start, end = _span(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 2, 8)) + data[end:]


def overwrite(data: bytes, draw: random.Random) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + draw.randbytes(end - start) + data[end:]


def write_number(data: bytes, draw: random.Random) -> bytes:
    """Put one of the awkward numbers somewhere, in either byte order."""
    kind = draw.choice((">H", "<H", ">I", "<I"))
    if len(data) < 8:
        return data
    spoilt = bytearray(data)
    limit = 0xFFFF if kind[1] == "H" else 0xFFFFFFFF
    place = min(_place(data, draw), len(data) - struct.calcsize(kind))
    struct.pack_into(kind, spoilt, place, draw.choice(NUMBERS) & limit)
    return bytes(spoilt)


def append(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.choice((1, 16, 4096)))


def splice(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Put a piece of another picture in place of a piece of this one."""
    start, end = _span(data, draw)
    first, last = _span(other, draw)
    return data[:start] + other[first:last] + data[end:]


def _place(data: bytes | bytearray, draw: random.Random) -> int:
    """Return an index, more often near the beginning, where the headers are."""
    share = draw.random()
    return int(len(data) * (share**3 if draw.random() < 0.5 else share))


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = _place(data, draw) if data else 0
    return start, min(len(data), start + draw.choice((1, 2, 4, 16, 64, 256, 1024)))


BLIND: tuple[Mutation, ...] = (
    flip_bits,
    flip_bits,
    set_bytes,
    truncate,
    drop,
    repeat,
    overwrite,
    write_number,
    write_number,
    append,
)
