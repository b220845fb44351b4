"""A picture as somebody has it, to the bytes that are sent."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.pictures.exif import exif_orientation

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

_TAG_ORIENTATION = 274
# What PNG can hold, so that the server sees the samples as they are.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def several(given: Picture | Iterable[Picture]) -> Iterable[Any] | None:
    """Return the pictures; None if one was given, and not several."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    is_array = hasattr(given, "__array__") or hasattr(given, "__array_interface__")
    if isinstance(given, kinds) or is_array or not isinstance(given, Iterable):
        return None
    return given


def sent_picture(picture: Picture) -> bytes:
    """Return the bytes of a file with that picture.

    Args:
        picture: a path, or the bytes of a file, both sent as they are; a PIL picture; or an upright
            uint8 array: RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W) or (H, W, 1).
    Raises:
        OSError: the path cannot be read.
        ValueError: it is none of these; the message says what to change.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return _file(picture)
    given: Any = picture
    if hasattr(given, "convert") and hasattr(given, "getexif"):
        return _from_pil(given)
    if hasattr(given, "dtype") and hasattr(given, "shape"):
        return _from_array(given)
    raise ValueError(
        f"this is of type {type(picture).__name__}; a picture is a path, a file as bytes, a PIL "
        "picture or a uint8 array of shape (height, width, 3), RGB"
    )


def _file(path: str | os.PathLike[str]) -> bytes:
    if "://" in str(path):
        raise ValueError(f"{path} is an address; fetch it and give the bytes of the file")
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder; give a list of its pictures")
    return Path(path).read_bytes()


def _from_array(array: np.ndarray) -> bytes:
    from PIL import Image

    from model.pictures.arrays import check_array

    check_array(array)
    return _png(Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array))


def _from_pil(image: Image.Image) -> bytes:
    from PIL import Image

    # As the server reads files: only EXIF turns a picture, a TIFF while it is loaded.
    xmp = image.info.pop("xmp", None)
    image.load()
    if xmp is not None:
        image.info["xmp"] = xmp
    is_tiff = image.format == "TIFF"
    if image.mode == "F" or (is_tiff and image.mode.startswith("I")):
        raise ValueError(
            f"a PIL picture of mode {image.mode!r} is not sent, as what its samples mean stands in "
            "its file; give the file's path, or convert it to grey or RGB"
        )
    turned = Image.Exif()
    turned[_TAG_ORIENTATION] = 1 if is_tiff else exif_orientation(image.info.get("exif", b""))
    if image.mode.startswith("I"):
        plain = image.convert("I").convert("I;16")
    else:
        plain = image if image.mode in _PNG_MODES else image.convert("RGB")
    return _png(plain, exif=turned.tobytes())


def _png(image: Image.Image, exif: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, exif=exif or None)
    return buffer.getvalue()
