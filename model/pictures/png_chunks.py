"""The chunks of a PNG: whether all have come, and those that its pixels depend on."""

from __future__ import annotations

from model.pictures.errors import ImageError

_SIGNATURE_BYTES = 8
# Length and kind before a chunk's content, a checksum after it.
_HEAD_BYTES, _CHECKSUM_BYTES = 8, 4
_ANCILLARY = 0x20  # the bit of a small letter


def pixel_chunks(data: bytes) -> bytes:
    """Return the PNG without the chunks that none of its pixels depends on.

    Texts and colour profiles, of which nothing is used here, may unpack to more than a decoder
    takes, and there may be millions of chunks: what is left out costs and harms nothing. Bytes
    behind the last chunk are left out too.

    Raises:
        ImageError: it ends before its IEND chunk does, so it is truncated.
    """
    kept: list[bytes] = []
    begun = 0  # where what is kept as it stands begins
    position = _SIGNATURE_BYTES
    while True:
        kind = data[position + 4 : position + _HEAD_BYTES]
        length = int.from_bytes(data[position : position + 4])
        end = position + _HEAD_BYTES + length + _CHECKSUM_BYTES
        if end > len(data):
            raise ImageError(
                "the PNG picture is truncated or damaged: it ends before its IEND chunk does"
            )
        if kind == b"IEND":
            return b"".join((*kept, data[begun:end]))
        if kind[0] & _ANCILLARY and kind.isalpha() and kind != b"tRNS":
            kept.append(data[begun:position])
            begun = end
        position = end
