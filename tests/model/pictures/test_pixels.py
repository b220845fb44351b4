from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import ImageError, UnsupportedImageError, decode_image
from model.pictures.pixels import as_list, pixels_of

_ORIENTATION = 274
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def encoded(picture: Image.Image, name: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, **how)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pil_picture_is_turned_upright_as_its_file_is(name: str, orientation: int) -> None:
    data = encoded(Image.fromarray(RGB), name, exif=oriented(orientation))
    expected = decode_image(data)
    assert expected.shape == ((6, 8, 3) if orientation < 5 else (8, 6, 3))
    np.testing.assert_array_equal(pixels_of(Image.open(io.BytesIO(data))), expected)


@pytest.mark.parametrize(("name", "how"), [("TIFF", "tiffinfo"), ("JPEG", "xmp")])
def test_xmp_turns_no_pil_picture(name: str, how: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    data = encoded(Image.fromarray(RGB), name, **{how: {700: xmp} if how == "tiffinfo" else xmp})
    picture = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(pixels_of(picture), decode_image(data))
    assert picture.info["xmp"] == xmp


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_pil_picture_of_any_mode_is_what_its_file_is(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(RGB).convert(mode)
    expected = decode_image(encoded(picture, "PNG"))
    np.testing.assert_array_equal(pixels_of(picture), expected)


def test_pil_picture_of_16_bits_is_no_negative_either() -> None:
    data = encoded(Image.fromarray(np.array([[0, 65535]], np.uint16)), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode_image(data)[0, :, 0], [255, 0])
    np.testing.assert_array_equal(pixels_of(Image.open(io.BytesIO(data)))[0, :, 0], [255, 0])


def test_pil_picture_is_left_as_it_is() -> None:
    data = encoded(Image.fromarray(RGB).convert("P"), "PNG", transparency=3)
    picture = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(pixels_of(picture), decode_image(data))
    assert (picture.mode, picture.info["transparency"]) == ("P", 3)


def test_pil_picture_of_floats_is_refused() -> None:
    with pytest.raises(UnsupportedImageError, match="grey or RGB of 8 or 16 bits"):
        pixels_of(Image.fromarray(RGB[..., 0].astype(np.float32)))


def test_path_and_bytes_are_decoded_as_the_server_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.fromarray(RGB), "JPEG", exif=oriented(6)))
    expected = decode_image(path.read_bytes())
    for picture in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(pixels_of(picture), expected)


def test_rgb_array_is_returned_as_it_is() -> None:
    assert pixels_of(RGB).base is RGB


def test_grey_becomes_rgb_and_alpha_is_dropped() -> None:
    grey = RGB[..., :1]
    expected = np.repeat(grey, 3, axis=2)
    np.testing.assert_array_equal(pixels_of(grey), expected)
    np.testing.assert_array_equal(pixels_of(grey[..., 0]), expected)
    np.testing.assert_array_equal(pixels_of(np.dstack((RGB, grey))), RGB)


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (RGB / 255, r"\(array \* 255\)\.round\(\)\.astype\(np\.uint8\)"),
        (RGB > 3, r"\(array \* 255\)"),
        (RGB.astype(np.float32), r"array\.clip\(0, 255\)\.astype\(np\.uint8\)"),
        (RGB.astype(int), r"array\.clip\(0, 255\)"),
        (RGB.astype(np.uint16) * 257, r"\(array // 257\)\.astype\(np\.uint8\)"),
        (RGB.transpose(2, 0, 1), r"channels come first; \.transpose\(1, 2, 0\)"),
        (RGB[..., :2], "2 channels"),
        (RGB[None], "give a list"),
        (RGB[:0], "no picture"),
        (RGB[0, 0], "no picture"),
    ],
)
def test_array_that_is_no_picture_is_refused_with_what_to_change(
    array: np.ndarray, advice: str
) -> None:
    with pytest.raises(ValueError, match=rf"uint8 of shape \(height, width, 3\).* {advice}"):
        pixels_of(array)


@pytest.mark.parametrize(
    ("array", "change"),
    [
        (RGB / 255, lambda array: (array * 255).round().astype(np.uint8)),
        (RGB.astype(np.uint16) * 257, lambda array: (array // 257).astype(np.uint8)),
        (RGB.transpose(2, 0, 1), lambda array: array.transpose(1, 2, 0)),
        (RGB.astype(np.float32), lambda array: array.clip(0, 255).astype(np.uint8)),
    ],
)
def test_advice_gives_the_picture(array: np.ndarray, change: Any) -> None:
    np.testing.assert_array_equal(pixels_of(change(array)), RGB)


def test_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes\.jpg: the bytes are no picture"):
        pixels_of(path)


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        pixels_of(tmp_path / "nowhere.jpg")


def test_folder_and_address_are_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder; give a list"):
        pixels_of(tmp_path)
    with pytest.raises(ValueError, match="is an address; fetch it and give the bytes"):
        pixels_of("https://example.org/a.jpg")


@pytest.mark.parametrize("given", [None, 3, {"a": 1}, bytearray(b"ab")])
def test_what_is_no_picture_at_all_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=f"of type {type(given).__name__}; a picture is a path"):
        pixels_of(given)


def test_empty_path_is_refused() -> None:
    with pytest.raises(ValueError, match="the path of a picture is empty"):
        pixels_of("")


def test_open_file_is_one_thing_and_not_its_lines(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(RGB), "PNG"))
    with (
        (tmp_path / "a.png").open("rb") as file,
        pytest.raises(ValueError, match=r"file as bytes \(what its read\(\)"),
    ):
        pixels_of(as_list(file)[0][0])  # type: ignore[arg-type]


def test_one_picture_is_told_from_several(tmp_path: Path) -> None:
    for one in (
        "a.jpg",
        tmp_path,
        b"bytes",
        RGB,
        Image.fromarray(RGB),
        None,
        bytearray(b"ab"),
        {"a": 1},
    ):
        assert as_list(one) == ([one], False)  # type: ignore[arg-type]
    assert as_list(["a.jpg", "b.jpg"]) == (["a.jpg", "b.jpg"], True)
    assert as_list(iter(("a.jpg",))) == (["a.jpg"], True)
    assert as_list([]) == ([], True)


def test_tensor_is_one_thing_and_not_its_rows() -> None:
    class Tensor:
        def __array__(self) -> np.ndarray:
            return RGB

        def __iter__(self) -> Any:
            return iter(RGB)

    with pytest.raises(ValueError, match="of type Tensor"):
        pixels_of(as_list(Tensor())[0][0])  # type: ignore[arg-type]
