"""Pixels of whatever somebody calls a picture: a path, a file's bytes, an array, a PIL picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.pictures.arrays import WANTED_ARRAY, rgb_array
from model.pictures.decode import ImageError, decode_image, upright_pixels

Picture = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

_KINDS = (str, os.PathLike, bytes, np.ndarray, Image.Image)
# These can be gone through, too, but are no lists of pictures, as little as tensors and open files.
_NO_LISTS = (bytearray, memoryview, Mapping)


def as_list(given: Picture | Iterable[Picture]) -> tuple[list[Picture], bool]:
    """Return the pictures, and whether several were given and not one."""
    one_or_many: Any = given
    is_one = isinstance(one_or_many, _KINDS) or not isinstance(one_or_many, Iterable)
    has_rows = hasattr(one_or_many, "__array__") or hasattr(one_or_many, "read")
    if is_one or has_rows or isinstance(one_or_many, _NO_LISTS):
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
        return rgb_array(picture)
    if isinstance(picture, Image.Image):
        return upright_pixels(picture)
    if isinstance(picture, bytes):
        return decode_image(picture)
    if isinstance(picture, (str, os.PathLike)):
        return _decoded_file(picture)
    raise ValueError(
        f"this is of type {type(picture).__name__}; a picture is a path, a file as bytes (what its "
        f"read() gives), a PIL picture or an array, {WANTED_ARRAY}"
    )


def _decoded_file(given: str | os.PathLike[str]) -> np.ndarray:
    if not os.fspath(given):
        raise ValueError("the path of a picture is empty")
    if "://" in str(given):
        raise ValueError(f"{given} is an address; fetch it and give the bytes of the file")
    path = Path(given)
    if path.is_dir():
        raise ValueError(f"{given} is a folder; give a list of its pictures")
    try:
        return decode_image(path.read_bytes())
    except ImageError as error:
        raise type(error)(f"{given}: {error}") from None
