"""Pixels of whatever somebody calls a picture: a path, a file's bytes, an array, a PIL picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.pictures.decode import ImageError, decode_image, upright_pixels

Picture = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

_KINDS = (str, os.PathLike, bytes, np.ndarray, Image.Image)
_BUFFERS = (bytearray, memoryview)
_WANTED = "uint8 of shape (height, width, 3), RGB"


def as_list(given: Picture | Iterable[Picture]) -> tuple[list[Picture], bool]:
    """Return the pictures, and whether several were given and not one."""
    one_or_many: Any = given
    is_one = isinstance(one_or_many, _KINDS) or not isinstance(one_or_many, Iterable)
    # A tensor, say, is no picture, and no list of its rows either.
    if is_one or isinstance(one_or_many, _BUFFERS) or hasattr(one_or_many, "__array__"):
        return [one_or_many], False
    return list(one_or_many), True


def pixels_of(picture: Picture) -> np.ndarray:
    """Return the upright picture: RGB uint8 (H, W, 3).

    Args:
        picture: a path, or the bytes of a JPEG, PNG, WebP, BMP or TIFF file, decoded as the
            server does; a PIL picture, treated the same way (EXIF orientation is applied, alpha
            dropped); or an upright uint8 array: RGB (H, W, 3), which is returned as it is, RGBA
            (H, W, 4) or grey (H, W) or (H, W, 1).
    Raises:
        ImageError: the file is no picture that can be decoded.
        OSError: the path cannot be read.
        ValueError: it is none of these; the message says what to change.
    """
    if isinstance(picture, np.ndarray):
        return _rgb_array(picture)
    if isinstance(picture, Image.Image):
        return upright_pixels(picture)
    if isinstance(picture, bytes):
        return decode_image(picture)
    if isinstance(picture, (str, os.PathLike)):
        return _decoded_file(picture)
    raise ValueError(
        f"this is of type {type(picture).__name__}; a picture is a path, a file as bytes, a PIL "
        f"picture or an array, {_WANTED}"
    )


def _decoded_file(given: str | os.PathLike[str]) -> np.ndarray:
    if "://" in str(given):
        raise ValueError(f"{given} is an address; fetch it and give the bytes of the file")
    path = Path(given)
    if path.is_dir():
        raise ValueError(f"{given} is a folder; give a list of its pictures")
    try:
        return decode_image(path.read_bytes())
    except ImageError as error:
        raise type(error)(f"{given}: {error}") from None


def _rgb_array(array: np.ndarray) -> np.ndarray:
    problem = _problem(array)
    if problem:
        raise ValueError(
            f"an array must be {_WANTED}; this is {array.dtype} of shape {array.shape}: {problem}"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    return array[..., :3]


def _problem(array: np.ndarray) -> str:
    """Return what to change about an array; nothing if it is a picture."""
    if array.ndim == 4:
        return "for several pictures give a list of them"
    if array.ndim not in (2, 3) or array.size == 0:
        return "no picture"
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        if array.shape[0] in (1, 3, 4):
            return "its channels come first; .transpose(1, 2, 0) puts them last"
        return f"{array.shape[2]} channels"
    if array.dtype == np.uint8:
        return ""
    if array.dtype == np.uint16:
        return "(array // 257).astype(np.uint8) fits 16-bit values"
    if array.dtype.kind in "fb" and not array.max() > 1:
        return "(array * 255).round().astype(np.uint8) fits values from 0 to 1"
    return "array.clip(0, 255).astype(np.uint8) fits values from 0 to 255"
