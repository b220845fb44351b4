"""Judges encoded images by their headers, so that nothing too large is ever decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.pictures.header import read_header
from service.configuration.settings import Settings
from service.engine import Picture
from service.errors import (
    NotAnImageError,
    ServiceError,
    TooLargeError,
)
from service.image_refusals import image_refusals


def judge_pictures(pictures: Sequence[Picture], settings: Settings) -> tuple[Picture, ...]:
    """Return the images of a request with their sizes, if none is too large.

    Raises:
        ServiceError: names the first bad image by index and id.
    """
    return tuple(judge_picture(picture, index, settings) for index, picture in enumerate(pictures))


def judge_picture(picture: Picture, index: int, settings: Settings) -> Picture:
    """Return an image with its size, if that is not too large.

    Args:
        index: its place in the request.
    Raises:
        ServiceError: names the image by index and id.
    """
    try:
        height, width = _upright_size(picture.data, settings)
    except ServiceError as error:
        raise error.about_image(index, picture.id) from None
    return replace(picture, height=height, width=width)


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
