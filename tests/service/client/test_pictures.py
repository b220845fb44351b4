"""What is sent of a picture is decoded by the server to what the predictor makes of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import decode_image
from model.pictures.pixels import pixels_of
from service.client.pictures import sent_picture, several

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(RGB, id="rgb"),
        pytest.param(RGB[..., 0], id="grey"),
        pytest.param(RGB[..., :1], id="grey-channel"),
        pytest.param(RGB[..., ::-1], id="negative-strides"),
        pytest.param(np.dstack((RGB, RGB[..., 0])), id="alpha"),
    ],
)
def test_array_arrives_as_it_is(array: np.ndarray) -> None:
    assert np.array_equal(decode_image(sent_picture(array)), pixels_of(array))


def test_alpha_of_an_array_is_sent() -> None:
    sent = Image.open(io.BytesIO(sent_picture(np.dstack((RGB, RGB[..., 0])))))
    assert np.array_equal(np.asarray(sent)[..., 3], RGB[..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pil_picture_arrives_as_the_predictor_reads_it(mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    assert np.array_equal(decode_image(sent_picture(image)), pixels_of(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_a_pil_picture(kind: str, orientation: int) -> None:
    data = saved(Image.fromarray(RGB), kind, exif=oriented(orientation))
    image = Image.open(io.BytesIO(data))
    assert np.array_equal(decode_image(sent_picture(image)), pixels_of(image))


def test_pil_picture_of_a_turned_tiff_arrives_upright() -> None:
    data = saved(Image.fromarray(RGB), "TIFF", tiffinfo={274: 6})
    sent = sent_picture(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode_image(sent), decode_image(data))


def test_deep_grey_of_a_png_arrives_as_the_predictor_reads_it() -> None:
    deep = Image.fromarray(RNG.integers(0, 2**16, (5, 7), np.uint16))
    image = Image.open(io.BytesIO(saved(deep, "PNG")))
    assert np.array_equal(decode_image(sent_picture(image)), pixels_of(image))


def test_deep_tiff_is_to_be_sent_as_its_file() -> None:
    deep = Image.fromarray(RNG.integers(0, 2**16, (5, 7), np.uint16))
    image = Image.open(io.BytesIO(saved(deep, "TIFF")))
    with pytest.raises(ValueError, match="give the file's path"):
        sent_picture(image)


def test_files_and_bytes_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8 anything")
    assert sent_picture(path) == sent_picture(str(path)) == sent_picture(path.read_bytes())


@pytest.mark.parametrize(
    ("given", "mention"),
    [
        ("https://example.org/a.jpg", "is an address"),
        (".", "is a folder"),
        (RGB / 255, r"\(array \* 255\)"),
        (RGB.transpose(2, 0, 1), "channels come first"),
        (7, "is of type int"),
        (Image.fromarray(RGB[..., 0].astype(np.float32)), "mode 'F'"),
    ],
)
def test_what_is_no_picture_is_told_what_to_change(given: object, mention: str) -> None:
    with pytest.raises(ValueError, match=mention):
        sent_picture(given)  # type: ignore[arg-type]


def test_one_picture_is_told_from_several(tmp_path: Path) -> None:
    for one in ("a.jpg", tmp_path, b"bytes", RGB, Image.fromarray(RGB)):
        assert several(one) is None
    assert several(["a.jpg"]) == ["a.jpg"]
    assert list(several(iter([RGB])) or ()) == [RGB]
