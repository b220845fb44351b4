from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from model.pictures.background import BACKGROUNDS, Background
from model.pictures.decode import decode_image
from model.pictures.decoding_process import DecodingProcess

COLOURS = np.random.default_rng(2).integers(0, 256, (20, 24, 3), np.uint8)
# Transparent on the left, half so in the middle, opaque on the right.
ALPHA = np.repeat(np.array([0, 128, 255], np.uint8), 8)[None].repeat(20, axis=0)
RGBA = Image.fromarray(np.dstack((COLOURS, ALPHA)))
SHOWN: dict[Background, np.ndarray] = {
    "white": np.full((20, 24, 1), 255),
    "black": np.zeros((20, 24, 1)),
    "checker": np.where(np.add.outer(np.arange(20) // 8, np.arange(24) // 8) % 2, 204, 255)[
        ..., None
    ],
}


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def blended(colours: np.ndarray, background: Background) -> np.ndarray:
    share = ALPHA[..., None] / 255
    return np.asarray(colours * share + SHOWN[background] * (1 - share))


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize(
    ("kind", "settings"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})]
)
def test_background_shows_through(
    background: Background, kind: str, settings: dict[str, object]
) -> None:
    data = saved(RGBA, kind, **settings)
    pixels = decode_image(data, background=background)
    assert np.abs(pixels - blended(COLOURS, background)).max() <= 1
    assert np.array_equal(decode_image(data), COLOURS)


def test_grey_with_alpha_too() -> None:
    grey = np.repeat(COLOURS[..., :1], 3, axis=2)
    data = saved(Image.fromarray(np.dstack((COLOURS[..., 0], ALPHA)), "LA"), "PNG")
    assert np.abs(decode_image(data, background="white") - blended(grey, "white")).max() <= 1


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_one_transparent_colour_too(mode: str) -> None:
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((1, 0), 1 if mode != "RGB" else (1, 1, 1))
    data = saved(image, "PNG", transparency=0 if mode != "RGB" else (0, 0, 0))
    white, other = decode_image(data, background="white")[0]
    assert white.tolist() == [255, 255, 255]
    assert np.array_equal(other, decode_image(data)[0, 1])


def test_picture_is_turned_with_its_background_behind_it() -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = saved(RGBA, "PNG", exif=exif)
    pixels = decode_image(data, background="white")
    assert np.abs(np.rot90(pixels) - blended(COLOURS, "white")).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_opaque_picture_stays_as_it_is(kind: str) -> None:
    data = saved(Image.fromarray(COLOURS), kind)
    assert np.array_equal(decode_image(data, background="checker"), decode_image(data))


def test_deep_grey_stays_as_it_is() -> None:
    deep = np.arange(480, dtype=np.uint16).reshape(20, 24) * 100
    data = saved(Image.fromarray(deep), "PNG", transparency=0)
    assert np.array_equal(decode_image(data, background="white"), decode_image(data))


def test_costly_pictures_have_it_too() -> None:
    process = DecodingProcess(cpu_seconds=60, wall_seconds=120)
    data = saved(RGBA, "PNG")
    try:
        for background in (None, *BACKGROUNDS):
            found = process.decode(data, max_pixels=1000, max_side=100, background=background)
            assert np.array_equal(found, decode_image(data, background=background))
    finally:
        process.close()
