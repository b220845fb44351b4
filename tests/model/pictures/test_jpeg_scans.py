from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import decode_image
from model.pictures.errors import ImageError
from model.pictures.jpeg_scans import check_scans
from model.pictures.jpeg_segments import check_jpeg_end

START_OF_SCAN = b"\xff\xda"
END = b"\xff\xd9"
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encode(picture: Image.Image | np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def scans(data: bytes) -> list[int]:
    found = [data.index(START_OF_SCAN)]
    while (position := data.find(START_OF_SCAN, found[-1] + 2)) >= 0:
        found.append(position)
    return found


def with_last_scan_repeated(data: bytes, times: int) -> bytes:
    last = data[scans(data)[-1] : -2]
    return data[:-2] + last * times + END


def empty_scan(component: int) -> bytes:
    """A scan of one component of a baseline picture, without any data."""
    return START_OF_SCAN + bytes((0, 8, 1, component, 0, 0, 63, 0))


def one_by_one(data: bytes, scans_of_each: int) -> bytes:
    """A baseline picture with empty scans of single components in place of its own scan."""
    start = data.index(START_OF_SCAN)
    each = b"".join(empty_scan(component) for component in (1, 2, 3))
    return data[:start] + each * scans_of_each + END


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_what_encoders_make_is_taken(mode: str, options: dict[str, Any]) -> None:
    picture = Image.fromarray(PIXELS).convert(mode)
    data = encode(picture, **options)
    blocks = {"RGB": 4 * 3 * 4 + 2 * 3 * 4, "L": 6 * 8, "CMYK": 4 * 6 * 8}[mode]
    assert check_scans(data) == blocks if "progressive" not in options else blocks * 4
    assert decode_image(data).shape == PIXELS.shape


def test_a_progressive_picture_costs_what_its_scans_visit() -> None:
    # Six scans of luma, four of either chroma: 48 blocks at full size, 12 each at a quarter.
    assert check_scans(encode(progressive=True)) == 6 * 48 + 2 * 4 * 12


def test_a_scan_repeated_hundreds_of_times_is_refused_before_decoding() -> None:
    large = Image.new("L", (4000, 4000), 90)
    data = with_last_scan_repeated(encode(large, progressive=True), 330)
    with pytest.raises(ImageError, match="more scans than any encoder makes"):
        decode_image(data)


def test_a_small_picture_has_room_for_many_scans_but_not_for_more_than_500() -> None:
    data = encode(progressive=True)
    many = 500 - len(scans(data))
    check_scans(with_last_scan_repeated(data, many))
    with pytest.raises(ImageError, match="501 or more"):
        check_scans(with_last_scan_repeated(data, many + 1))


def test_empty_scans_of_a_baseline_picture_count() -> None:
    check_scans(one_by_one(encode(), 1))
    data = one_by_one(encode(Image.new("RGB", (4000, 4000))), 25)
    with pytest.raises(ImageError, match="more scans than any encoder makes"):
        decode_image(data)


def test_a_scan_header_inside_a_comment_is_none() -> None:
    data = encode(progressive=True)
    comment = b"\xff\xfe" + (2 + 600 * 10).to_bytes(2) + empty_scan(1) * 600
    place = scans(data)[1]
    assert check_scans(data[:place] + comment + data[place:]) == check_scans(data)


def test_a_picture_cut_between_its_scans_is_truncated() -> None:
    data = encode(progressive=True)
    for place in scans(data)[1:]:
        cut = data[:place] + END
        check_jpeg_end(cut)
        with pytest.raises(ImageError, match="last scans are missing"):
            decode_image(cut)


def test_a_component_without_a_scan_is_missed() -> None:
    data = encode()
    start = data.index(START_OF_SCAN)
    with pytest.raises(ImageError, match="last scans are missing"):
        check_scans(data[:start] + empty_scan(1) + empty_scan(2) + END)


def test_a_scan_of_an_unknown_component_is_an_image_error() -> None:
    data = encode()
    start = data.index(START_OF_SCAN)
    with pytest.raises(ImageError, match="components that its frame has not"):
        check_scans(data[:start] + empty_scan(9) + END)


def test_thousands_of_segments_between_scans_are_refused() -> None:
    data = encode(progressive=True)
    place = scans(data)[1]
    with pytest.raises(ImageError, match="more than 16384 segments"):
        check_scans(data[:place] + b"\xff\xfe\0\2" * 16_384 + data[place:])
