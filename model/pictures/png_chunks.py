"""The chunks of a PNG: whether all have come whole, and those that its pixels depend on."""

from __future__ import annotations

import zlib

from model.pictures.errors import ImageError

_SIGNATURE_BYTES = 8
# Length and kind before a chunk's content, a checksum after it.
_HEAD_BYTES, _CHECKSUM_BYTES = 8, 4
_COLOURS_POSITION, _OF_PALETTE = 25, 3  # in the header chunk, which comes first
_ANCILLARY = 0x20  # the bit of a small letter
# A picture of 32 MiB in pieces of 1 KiB has half of that; libpng's have 8 KiB.
_MOST_CHUNKS = 65_536


def pixel_chunks(data: bytes) -> bytes:
    """Return the PNG without the chunks that none of its pixels depends on, its data in one chunk.

    Texts and colour profiles, of which nothing is used here, may unpack to more than a decoder
    takes: what is left out costs and harms nothing. Bytes behind the last chunk are left out too.

    Raises:
        ImageError: it ends before its IEND chunk does, so it is truncated; its data does not
            match its checksum; its palette is missing; or it has more chunks than any encoder
            makes.
    """
    kept: list[bytes] = []
    pixels: list[memoryview] = []
    whole = memoryview(data)
    position = _SIGNATURE_BYTES
    for _ in range(_MOST_CHUNKS):
        kind = data[position + 4 : position + _HEAD_BYTES]
        length = int.from_bytes(data[position : position + 4])
        end = position + _HEAD_BYTES + length + _CHECKSUM_BYTES
        if end > len(data):
            raise ImageError(
                "the PNG picture is truncated or damaged: it ends before its IEND chunk does"
            )
        if kind == b"IDAT":
            pixels.append(_content(whole, position, end))
        elif kind == b"IEND":
            if data[_COLOURS_POSITION] == _OF_PALETTE and not any(c[4:8] == b"PLTE" for c in kept):
                raise ImageError("the PNG picture is damaged: its palette is missing")
            return b"".join(
                (data[:_SIGNATURE_BYTES], *kept, _data_chunk(pixels), data[position:end])
            )
        elif not (kind[0] & _ANCILLARY and kind.isalpha()) or kind == b"tRNS":
            kept.append(data[position:end])
        position = end
    raise ImageError(f"the PNG picture has more than {_MOST_CHUNKS} chunks; save it anew")


def _content(data: memoryview, position: int, end: int) -> memoryview:
    checked = data[position + 4 : end - _CHECKSUM_BYTES]
    if zlib.crc32(checked) != int.from_bytes(data[end - _CHECKSUM_BYTES : end]):
        raise ImageError(
            "the PNG picture is truncated or damaged: its data does not match its checksum"
        )
    return checked[4:]


def _data_chunk(pixels: list[memoryview]) -> bytes:
    content = b"".join((b"IDAT", *pixels))
    return b"".join(((len(content) - 4).to_bytes(4), content, zlib.crc32(content).to_bytes(4)))
