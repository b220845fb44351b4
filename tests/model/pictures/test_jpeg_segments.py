from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from model.pictures.errors import ImageError
from model.pictures.jpeg_segments import check_jpeg_end, jpeg_segments


def encode(size: tuple[int, int] = (48, 32), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_segments_before_the_data_are_told_in_order() -> None:
    markers = [marker for marker, _ in jpeg_segments(encode(comment=b"hello"))]
    assert (markers[0], markers[-1]) == (0xE0, 0xC4)
    assert 0xFE in markers
    assert 0xC0 in markers


@pytest.mark.parametrize("progressive", [False, True])
def test_end_marker_is_found_and_missed(progressive: bool) -> None:
    data = encode(progressive=progressive)
    check_jpeg_end(data)
    check_jpeg_end(data + b"and so on")
    for cut in (1, 2, 30):
        with pytest.raises(ImageError, match="end marker is missing"):
            check_jpeg_end(data[:-cut])


def test_end_of_a_thumbnail_is_not_that_of_the_picture() -> None:
    thumbnail = b"Exif\0\0" + encode((8, 8))
    data = encode()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail + data[2:]
    check_jpeg_end(data)
    with pytest.raises(ImageError, match="end marker is missing"):
        check_jpeg_end(data[:-2])
