"""Judges encoded images by their headers, so that nothing too large is ever decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from model.image_error import ImageError, ImageTooLargeError, UnsupportedImageError
from model.image_header import read_header
from service.configuration.settings import Settings
from service.engine import Picture
from service.errors import (
    NotAnImageError,
    OptionError,
    ServiceError,
    TooLargeError,
    UnsupportedMediaError,
)


@contextmanager
def image_refusals() -> Iterator[None]:
    """Turn what reading an image may raise into what the client is told."""
    try:
        yield
    except ImageTooLargeError as error:
        raise TooLargeError(str(error)) from None
    except UnsupportedImageError as error:
        raise UnsupportedMediaError(str(error)) from None
    except ImageError as error:
        raise NotAnImageError(str(error)) from None


def judge_number(pictures: Sequence[Picture], settings: Settings) -> None:
    """Refuse the request if it holds no or too many images."""
    if not pictures:
        raise OptionError("the request holds no image; send at least one")
    if len(pictures) > settings.max_images:
        raise TooLargeError(
            f"the request holds {len(pictures)} images; send at most {settings.max_images}"
        )


def judge_pictures(pictures: Sequence[Picture], settings: Settings) -> tuple[Picture, ...]:
    """Return the images with their sizes, if none is too large.

    Raises:
        ServiceError: names the first bad image by index and id.
    """
    judged = []
    for index, picture in enumerate(pictures):
        try:
            height, width = _upright_size(picture.data, settings)
        except ServiceError as error:
            raise error.about_image(index, picture.id) from None
        judged.append(replace(picture, height=height, width=width))
    return tuple(judged)


def _upright_size(data: bytes, settings: Settings) -> tuple[int, int]:
    if not data:
        raise NotAnImageError("it is empty; send the encoded bytes of an image")
    with image_refusals():
        header = read_header(data)
    height, width = header.height, header.width
    if max(height, width) > settings.max_side:
        raise TooLargeError(
            f"it is {width}×{height}; send at most {settings.max_side} pixels a side"
        )
    if height * width > settings.max_pixels:
        raise TooLargeError(
            f"it is {width}×{height}, {height * width} pixels; send at most {settings.max_pixels}"
        )
    return header.upright_size
