"""Lies in the headers of the formats; other bytes, and what does not fit, stay as they are."""

from __future__ import annotations

import random
import struct
import zlib

from fuzz_bytes import NUMBERS, Mutation, flip_bits, overwrite, repeat, truncate

_PNG_SIGNATURE = 8


def png_chunks(data: bytes, draw: random.Random) -> bytes:
    """Drop, double, swap or spoil whole chunks, with check sums that are right again."""
    chunks = _chunks_of(data)
    if not chunks:
        return data
    place = draw.randrange(len(chunks))
    kind, body = chunks[place]
    match draw.randrange(6):
        case 0:
            del chunks[place]
        case 1:
            chunks.insert(draw.randrange(len(chunks)), (kind, body))
        case 2:
            other = draw.randrange(len(chunks))
            chunks[place], chunks[other] = chunks[other], chunks[place]
        case 3:
            chunks[place] = kind, flip_bits(body, draw)
        case 4:
            chunks[place] = kind, truncate(body, draw)
        case _:
            chunks.insert(place, (draw.choice((b"eXIf", b"PLTE", b"tRNS", b"fcTL", b"iCCP")), body))
    return data[:_PNG_SIGNATURE] + b"".join(_chunk(*chunk) for chunk in chunks)


def png_header(data: bytes, draw: random.Random) -> bytes:
    """Lie about size, depth, colour type, compression, filter or interlace."""
    chunks = _chunks_of(data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        return data
    header = bytearray(chunks[0][1])
    if draw.random() < 0.6:
        struct.pack_into(">I", header, draw.choice((0, 4)), draw.choice(NUMBERS))
    else:
        header[draw.randrange(8, 13)] = draw.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
    chunks[0] = b"IHDR", bytes(header)
    return data[:_PNG_SIGNATURE] + b"".join(_chunk(*chunk) for chunk in chunks)


def png_inflated(data: bytes, draw: random.Random) -> bytes:
    """Spoil the pixels before they are compressed, so that the decoder gets as far as them."""
    chunks = _chunks_of(data)
    for place, (kind, body) in enumerate(chunks):
        if kind == b"IDAT":
            try:
                pixels = zlib.decompress(body)
            except zlib.error:
                return data
            spoil = draw.choice((flip_bits, truncate, repeat, overwrite))
            chunks[place] = kind, zlib.compress(spoil(pixels, draw))
            return data[:_PNG_SIGNATURE] + b"".join(_chunk(*chunk) for chunk in chunks)
    return data


def jpeg_segment(data: bytes, draw: random.Random) -> bytes:
    """Lie in one of the segments: its length, its marker, the frame's size and sampling."""
    markers = [
        place
        for place in range(2, len(data) - 12)
        if data[place] == 0xFF and data[place + 1] not in (0x00, 0xFF)
    ]
    if not markers:
        return data
    place, spoilt = draw.choice(markers), bytearray(data)
    match draw.randrange(4):
        case 0:
            struct.pack_into(">H", spoilt, place + 2, draw.choice(NUMBERS) & 0xFFFF)
        case 1:
            spoilt[place + 1] = draw.choice((0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xCC, 0xD8, 0xD9, 0xDA))
        case 2:
            struct.pack_into(">H", spoilt, place + draw.choice((5, 7)), draw.choice(NUMBERS[:18]))
        case _:
            spoilt[place + draw.randrange(2, 12)] = draw.randrange(256)
    return bytes(spoilt)


def riff_chunk(data: bytes, draw: random.Random) -> bytes:
    """Lie in a RIFF file: a chunk's name, its length, or the size that its picture begins with."""
    names = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"RIFF")
    places = [place for name in names if (place := data.find(name)) >= 0]
    if not places:
        return data
    place, spoilt = draw.choice(places), bytearray(data)
    match draw.randrange(3):
        case 0:
            spoilt[place : place + 4] = draw.choice(names)
        case 1:
            return _with_number(spoilt, place + 4, "<I", draw)
        case _:
            return _with_number(spoilt, place + 8 + draw.randrange(16), "<H", draw)
    return bytes(spoilt)


def tiff_entry(data: bytes, draw: random.Random) -> bytes:
    """Lie in the directory of a TIFF structure, a file's or EXIF's: tag, type, count, value."""
    begin = max(data.find(b"II*\x00"), data.find(b"MM\x00*"))
    if begin < 0 or len(data) < begin + 10:
        return data
    order = "<" if data[begin : begin + 2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, begin + 4)
    spoilt, first = bytearray(data), begin + start
    if draw.random() < 0.1 or first + 2 > len(data):
        return _with_number(spoilt, begin + 4, order + "I", draw)
    (num_entries,) = struct.unpack_from(order + "H", data, first)
    if draw.random() < 0.1 or num_entries == 0:
        return _with_number(spoilt, first, order + "H", draw)
    entry = first + 2 + 12 * draw.randrange(num_entries)
    offset, kind = draw.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
    return _with_number(spoilt, entry + offset, order + kind, draw)


def bmp_header(data: bytes, draw: random.Random) -> bytes:
    """Lie in one of a BMP header's numbers."""
    place, kind = draw.choice(
        (
            (2, "<I"),
            (10, "<I"),
            (14, "<I"),
            (18, "<I"),
            (22, "<I"),
            (26, "<H"),
            (28, "<H"),
            (30, "<I"),
            (34, "<I"),
            (46, "<I"),
        )
    )
    if place == 28 and draw.random() < 0.7:
        spoilt = bytearray(data)
        if len(spoilt) > 29:
            spoilt[28:30] = struct.pack("<H", draw.choice((1, 2, 4, 8, 16, 24, 32, 64)))
        return bytes(spoilt)
    return _with_number(bytearray(data), place, kind, draw)


def _with_number(spoilt: bytearray, place: int, kind: str, draw: random.Random) -> bytes:
    limit = 0xFFFF if kind[-1] == "H" else 0xFFFFFFFF
    if place + struct.calcsize(kind) <= len(spoilt):
        struct.pack_into(kind, spoilt, place, draw.choice(NUMBERS) & limit)
    return bytes(spoilt)


def _chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], _PNG_SIGNATURE
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


KNOWING: dict[str, tuple[Mutation, ...]] = {
    "JPEG": (jpeg_segment, jpeg_segment, tiff_entry),
    "PNG": (png_chunks, png_header, png_inflated, tiff_entry),
    "WebP": (riff_chunk, riff_chunk, tiff_entry),
    "TIFF": (tiff_entry,),
    "BMP": (bmp_header,),
}
