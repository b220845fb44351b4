from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import decode_image
from model.pictures.errors import ImageError
from model.pictures.png_chunks import pixel_chunks

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
MEBIBYTE = 2**20


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encode(pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_chunk(kind: bytes, body: bytes) -> bytes:
    """A picture with that chunk behind its header."""
    data = encode()
    return data[:33] + chunk(kind, body) + data[33:]


def kinds(data: bytes) -> list[bytes]:
    found, position = [], 8
    while position < len(data):
        found.append(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4])
    return found


def test_only_what_pixels_depend_on_is_kept() -> None:
    palette = Image.fromarray(PIXELS).quantize(4)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=1, dpi=(72, 72), icc_profile=b"p" * 500)
    assert {b"iCCP", b"pHYs"} < set(kinds(buffer.getvalue()))
    kept = pixel_chunks(buffer.getvalue())
    assert kinds(kept) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    np.testing.assert_array_equal(decode_image(kept), decode_image(buffer.getvalue()))


def test_picture_of_nothing_else_stays_as_it_is() -> None:
    assert pixel_chunks(encode()) == encode()


def test_bytes_behind_the_end_are_left_out() -> None:
    assert pixel_chunks(encode() + b"and so on") == encode()


@pytest.mark.parametrize("cut", range(1, 13))
def test_end_that_is_cut_off_is_missed(cut: Any) -> None:
    with pytest.raises(ImageError, match="ends before its IEND chunk"):
        pixel_chunks(encode()[:-cut])


def test_length_beyond_the_end_is_an_image_error() -> None:
    data = bytearray(encode())
    data[33:37] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError, match="ends before its IEND chunk"):
        pixel_chunks(bytes(data))


def test_data_in_many_chunks_becomes_one() -> None:
    data = encode()
    pixels = data[41:-16]
    parts = b"".join(chunk(b"IDAT", pixels[i : i + 3]) + chunk(b"IDAT") for i in range(0, 60, 3))
    split = data[:33] + parts + chunk(b"IDAT", pixels[60:]) + data[-12:]
    assert pixel_chunks(split) == data
    np.testing.assert_array_equal(decode_image(split), PIXELS)


def test_more_chunks_than_any_encoder_makes_are_refused() -> None:
    data = encode()
    few, many = (data[:33] + chunk(b"IDAT") * number + data[33:] for number in (65_533, 65_534))
    np.testing.assert_array_equal(decode_image(few), PIXELS)
    with pytest.raises(ImageError, match="more than 65536 chunks"):
        decode_image(many)


def test_data_that_does_not_match_its_checksum_is_damaged() -> None:
    data = bytearray(encode(compress_level=0))  # stored: zlib has nothing to stumble over
    data[100] ^= 1
    with pytest.raises(ImageError, match="does not match its checksum"):
        decode_image(bytes(data))


def test_chunk_of_no_proper_kind_is_left_to_the_decoder() -> None:
    data = with_chunk(b"a\0\0\0", b"")
    assert pixel_chunks(data) == data
    with pytest.raises(ImageError):
        decode_image(data)


@pytest.mark.parametrize(
    ("kind", "head"),
    [(b"zTXt", b"Comment\0\0"), (b"iCCP", b"icc\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")],
)
def test_text_or_profile_that_unpacks_to_much_is_of_no_account(kind: bytes, head: bytes) -> None:
    bomb = zlib.compressobj(9)
    packed = b"".join(bomb.compress(bytes(MEBIBYTE)) for _ in range(200)) + bomb.flush()
    data = with_chunk(kind, head + packed)
    assert len(data) < MEBIBYTE
    np.testing.assert_array_equal(decode_image(data), PIXELS)


def test_much_text_is_of_no_account() -> None:
    data = encode()
    texts = chunk(b"tEXt", b"Comment\0" + bytes(MEBIBYTE)) * 65  # Pillow takes 64 MiB
    np.testing.assert_array_equal(decode_image(data[:33] + texts + data[33:]), PIXELS)


def test_png_whose_palette_is_missing_is_damaged() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).quantize(4).save(buffer, "PNG")
    data = buffer.getvalue()
    start = data.index(b"PLTE") - 4
    length = int.from_bytes(data[start : start + 4])
    with pytest.raises(ImageError, match="palette is missing"):
        decode_image(data[:start] + data[start + 12 + length :])
