from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
from service_fakes import JPEG_BODY, FakeEngine, app_of, assert_problem, call, picture, post_picture


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be that large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def test_body_is_judged_by_its_length_before_it_is_read() -> None:
    was_read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal was_read
        was_read = True
        yield b"x"

    headers = {**JPEG_BODY, "Content-Length": "1001"}
    app = app_of(max_body_bytes=1000)
    answer = call(app, "POST", "/segment", content=body(), headers=headers)
    assert_problem(answer, 413, "1001 bytes", "at most 1000")
    assert not was_read


def test_body_without_a_length_is_cut_off_at_the_limit() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000:
            sent += 400
            yield b"x" * 400

    app = app_of(max_body_bytes=1000)
    answer = call(app, "POST", "/segment", content=endless(), headers=JPEG_BODY)
    assert_problem(answer, 413, "more than 1000 bytes")
    # One chunk over the limit, and one that the client has in hand already.
    assert sent <= 1600


def test_body_of_just_the_limit_passes() -> None:
    assert post_picture(FakeEngine(), max_body_bytes=len(picture())).status_code == 200


@pytest.mark.parametrize(
    ("width", "height", "mention"),
    [
        (10_000, 5_001, "50010000 pixels; send at most 50000000"),
        (16_385, 1, "at most 16384 pixels a side"),
        (1, 2**31 - 1, "at most 16384 pixels a side"),
    ],
)
def test_image_is_judged_by_its_header(width: int, height: int, mention: str) -> None:
    engine = FakeEngine()
    answer = call(
        app_of(engine), "POST", "/segment", content=bomb(width, height), headers=JPEG_BODY
    )
    assert_problem(answer, 413, f"{width}×{height}", mention)
    assert engine.jobs == []


def test_image_of_just_the_limits_passes() -> None:
    assert post_picture(FakeEngine(), max_pixels=48, max_side=8).status_code == 200


def test_more_images_than_the_limit_are_413() -> None:
    files = [("image", picture())] * 3
    answer = call(app_of(max_images=2), "POST", "/segment", files=files)
    assert_problem(answer, 413, "3 images", "at most 2")


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0\x00"])
def test_bytes_that_are_no_image_are_400(data: bytes) -> None:
    answer = call(app_of(), "POST", "/segment", content=data, headers=JPEG_BODY)
    assert_problem(answer, 400, "image 0")


def test_image_format_that_is_not_read_is_415() -> None:
    answer = call(app_of(), "POST", "/segment", content=picture(kind="GIF"), headers=JPEG_BODY)
    assert_problem(answer, 415, "GIF")


def test_first_bad_image_is_named_and_none_is_answered() -> None:
    engine = FakeEngine()
    images = [
        {"data": base64.b64encode(data).decode(), "id": image_id}
        for data, image_id in ((picture(), "a"), (b"bad", "b"), (b"worse", "c"))
    ]
    answer = call(
        app_of(engine),
        "POST",
        "/segment",
        content=json.dumps({"images": images}),
        headers={"Content-Type": "application/json"},
    )
    body = assert_problem(answer, 400, "image 1 ('b')")
    assert body["image"] == {"index": 1, "id": "b"}
    assert engine.jobs == []
