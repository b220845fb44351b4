from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import decode_image
from model.pictures.errors import ImageError
from model.pictures.jpeg_decoder import decode_jpeg

END = b"\xff\xd9"


def scene(height: int = 240, width: int = 320) -> Image.Image:
    steps = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return Image.fromarray((np.cumsum(steps, axis=1) + 128).clip(0, 255).astype(np.uint8))


def encode(picture: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture or scene()).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def half_with_an_end(data: bytes) -> bytes:
    return data[: len(data) // 2] + END


def hole_of_zeros(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(2000) + data[middle + 2000 :]


def zeros_to_the_end(data: bytes) -> bytes:
    kept = len(data) * 3 // 4
    return data[:kept] + bytes(len(data) - kept - 2) + END


def ten_times_the_height(data: bytes) -> bytes:
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + (2400).to_bytes(2) + data[place + 2 :]


def lost_restart_interval(data: bytes) -> bytes:
    start = data.index(b"\xff\xda")
    lost, following = data.index(b"\xff\xd3", start), data.index(b"\xff\xd4", start)
    return data[:lost] + data[following:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("spoil", [half_with_an_end, hole_of_zeros, zeros_to_the_end])
def test_pixels_that_are_not_in_the_data_are_missed(
    spoil: Callable[..., Any], mode: str, options: dict[str, Any]
) -> None:
    data = encode(scene().convert(mode), **options)
    decode_image(data)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(spoil(data))


@pytest.mark.parametrize("share", np.linspace(0.05, 0.98, 24))
def test_no_cut_with_an_end_marker_behind_it_is_a_whole_picture(share: Any) -> None:
    for data in (encode(), encode(progressive=True)):
        start = data.index(b"\xff\xda")
        cut = data[: start + int((len(data) - start) * share)] + END
        with pytest.raises(ImageError, match="truncated"):
            decode_image(cut)


def test_a_lost_restart_interval_is_missed() -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode_image(lost_restart_interval(encode(restart_marker_rows=1)))


def test_rows_that_only_the_header_claims_are_missed() -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode_image(ten_times_the_height(encode()))


def test_bytes_behind_a_whole_picture_are_of_no_account() -> None:
    data = encode()
    for behind in (bytes(5000), b"some trailer", encode(scene(16, 16))):
        np.testing.assert_array_equal(decode_image(data + behind), by_pillow(data))


@pytest.mark.parametrize("padding", [b"\0" * 700, b"\xff" * 700, b"\0", b"\x12\x34"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_padding_before_the_end_marker_is_of_no_account(
    padding: bytes, options: dict[str, Any]
) -> None:
    data = encode(**options)
    np.testing.assert_array_equal(decode_image(data[:-2] + padding + END), by_pillow(data))


def test_data_that_is_left_over_is_data_read_wrongly() -> None:
    data = encode()
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode_image(data[:-2] + data[-102:-2] + END)


def junk_between_segments(data: bytes) -> bytes:
    place = data.index(b"\xff\xdb")
    return data[:place] + b"\1\2\3" + data[place:]


def odd_scan_numbers(data: bytes) -> bytes:
    place = data.index(b"\xff\xda") + 11
    return data[:place] + b"\0\0\0" + data[place + 3 :]


def unknown_jfif_revision(data: bytes) -> bytes:
    place = data.index(b"JFIF\0") + 5
    return data[:place] + b"\x09" + data[place + 1 :]


ODD_HEADERS = [junk_between_segments, odd_scan_numbers, unknown_jfif_revision]


@pytest.mark.parametrize("spoil", ODD_HEADERS)
def test_an_odd_header_before_whole_data_is_no_fault(spoil: Callable[..., Any]) -> None:
    data = encode()
    np.testing.assert_array_equal(decode_image(spoil(data)), by_pillow(data))


@pytest.mark.parametrize("spoil", ODD_HEADERS)
def test_an_odd_header_hides_no_missing_pixels(spoil: Callable[..., Any]) -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode_image(half_with_an_end(spoil(encode())))


@pytest.mark.parametrize("options", [{"keep_rgb": True}, {}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_all_colours_have_the_pixels_of_the_reference_decoder(
    mode: str, options: dict[str, Any]
) -> None:
    data = encode(scene(37, 53).convert(mode), **({} if mode != "RGB" else options))
    np.testing.assert_array_equal(decode_jpeg(data), by_pillow(data))
