"""Encoded pictures to pixels: JPEG (MPO too), PNG, WebP, BMP and TIFF, by what the bytes say."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from model.pictures.background import Background, put_on
from model.pictures.bmp_palette import looked_up, with_palette_apart
from model.pictures.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from model.pictures.exif import exif_orientation
from model.pictures.header import ImageHeader, read_header
from model.pictures.jpeg_decoder import decode_jpeg
from model.pictures.jpeg_scans import check_scans
from model.pictures.jpeg_segments import check_jpeg_end
from model.pictures.png_chunks import pixel_chunks
from model.pictures.png_rows import PngFile, check_rows
from model.pictures.tiff_pages import (
    BITS,
    COLOURS,
    COMPRESSION,
    WHITE_IS_ZERO,
    ZSTANDARD,
    picture_page,
    unsupported_samples,
    with_first_page,
)
from model.pictures.tiff_strips import check_strips
from model.pictures.tiff_zstandard import has_zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.ImageFile import ImageFile

__all__ = [
    "ImageError",
    "ImageHeader",
    "ImageTooLargeError",
    "UnsupportedImageError",
    "decode_image",
    "read_header",
    "upright_pixels",
]

# Where Pillow sees a decompression bomb (twice its MAX_IMAGE_PIXELS). The file classes are used
# directly, not through Image.open, which would only warn of half of that, for the whole process.
_BOMB_PIXELS = 178_956_970

# By EXIF orientation; a quarter turn swaps the axes.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}

_FILE_CLASSES: dict[str, type[ImageFile]] = {
    "PNG": PngFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
}


def decode_image(
    data: bytes,
    *,
    max_pixels: int | None = None,
    max_side: int | None = None,
    background: Background | None = None,
) -> np.ndarray:
    """Return the upright picture: RGB uint8 (H, W, 3), C-contiguous, writable.

    EXIF orientation is applied. Of an animation or of many pages, the first. Alpha is dropped,
    not blended (as the original does it), unless there is a background to show through; 16-bit
    grey becomes round(value / 257).

    Args:
        data: the encoded bytes.
        max_pixels, max_side: limits, judged from the header before anything is decoded.
        background: what shows where the picture is transparent. 16-bit grey never is.
    Raises:
        ImageTooLargeError: the header gives more than a limit.
        UnsupportedImageError: another format, or samples that are not 1 to 16 bit integers.
        ImageError: not a picture, truncated, or damaged.
    """
    header = read_header(data)
    _check_size(header, max_pixels, max_side)
    try:
        upright = _decode(data, header, background)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(
            f"the {header.format} picture unpacks to too many pixels"
        ) from None
    except NotImplementedError:
        raise UnsupportedImageError(f"this kind of {header.format} is not decoded here") from None
    except MemoryError:
        raise
    except Exception:  # the parsers meet hostile bytes: whatever they raise, the bytes are bad
        raise ImageError(
            f"the {header.format} picture is truncated or damaged: its pixels cannot be read"
        ) from None
    if upright.shape[:2] != header.upright_size:
        raise ImageError(
            f"the {header.format} picture gives its orientation in an unusual form, which "
            "readers take differently; save it anew"
        )
    return upright


def upright_pixels(image: Image.Image) -> np.ndarray:
    """Return what `decode_image` would of the file that a PIL picture was read from.

    The PIL picture stays as it is.

    Raises:
        UnsupportedImageError: samples that are not 1 to 16 bit integers.
        OSError: Pillow cannot read its file.
    """
    # Loading turns a TIFF upright, for which only EXIF counts, and finds what comes late in a PNG.
    xmp = image.info.pop("xmp", None)
    image.load()
    if xmp is not None:
        image.info["xmp"] = xmp
    exif = image.info.get("exif", b"")
    orientation = 1 if image.format == "TIFF" else exif_orientation(exif)
    pixels = np.array(_rgb(image.copy(), image.format, getattr(image, "tag_v2", None)))
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _check_size(header: ImageHeader, max_pixels: int | None, max_side: int | None) -> None:
    height, width = header.height, header.width
    if max_side is not None and max(height, width) > max_side:
        raise ImageTooLargeError(
            f"the picture is {width}×{height} pixels; a side may have at most {max_side}"
        )
    limit = _BOMB_PIXELS if max_pixels is None else min(max_pixels, _BOMB_PIXELS)
    if height * width > limit:
        raise ImageTooLargeError(
            f"the picture is {width}×{height}, {height * width} pixels; at most {limit} are allowed"
        )


def _decode(data: bytes, header: ImageHeader, background: Background | None) -> np.ndarray:
    if header.format == "TIFF":
        return _decode_tiff(data, header, background)  # Pillow itself turns it upright
    if header.format == "JPEG":
        check_jpeg_end(data)
        check_scans(data)
        pixels = decode_jpeg(data)
    else:
        chunks = pixel_chunks(data) if header.format == "PNG" else data
        pixels = _decode_with_pillow(chunks, header, background)
    turn = _UPRIGHT.get(header.orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _decode_with_pillow(
    data: bytes, header: ImageHeader, background: Background | None
) -> np.ndarray:
    """Return the pixels as stored."""
    colours = None
    if header.format == "BMP":
        data, colours = with_palette_apart(data)
    try:
        opened = _FILE_CLASSES[header.format](io.BytesIO(data))
    except OSError as error:
        if str(error).startswith("Unsupported BMP"):
            raise UnsupportedImageError(
                "a BMP of such masks, bits or compression is not decoded here; "
                "send it with 24 bits a pixel, or as PNG"
            ) from None
        raise
    with opened as image:
        _check_same_size(image, header)
        image.load()
        if isinstance(image, PngFile):
            check_rows(image, data)
        if colours is not None:
            return looked_up(np.asarray(image), colours)
        return np.array(_rgb(image, header.format, background=background))


def _decode_tiff(data: bytes, header: ImageHeader, background: Background | None) -> np.ndarray:
    """Return the pixels of the page that is the picture, upright."""
    page = picture_page(data)
    if page.number(COMPRESSION) == ZSTANDARD and not has_zstandard():
        raise UnsupportedImageError(
            "a TIFF with Zstandard inside is not decoded by this Pillow; send it with Deflate"
        )
    check_strips(page)
    try:
        image = TiffImageFile(io.BytesIO(with_first_page(page)))
    except SyntaxError:  # its table of sample layouts has none like this
        raise unsupported_samples(page) from None
    with image:
        _check_same_size(image, header)
        image.info.pop("xmp", None)  # only EXIF turns a picture
        image.load()
        return np.array(_rgb(image, "TIFF", image.tag_v2, background))


def _check_same_size(image: ImageFile, header: ImageHeader) -> None:
    if sorted(image.size) != sorted((header.width, header.height)):
        raise ImageError(f"the {header.format} picture gives two different sizes")


def _rgb(
    image: Image.Image,
    name: str | None,
    tiff_tags: Mapping[int, Any] | None = None,
    background: Background | None = None,
) -> Image.Image:
    if image.mode == "La":  # which knows no way to RGB
        image = image.convert("LA")
    is_deep = image.mode.startswith(("I", "F"))
    if background is not None and not is_deep and image.has_transparency_data:
        return put_on(image, background)
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and name == "PNG"):
        return _from_deep_grey(image, tiff_tags or {})
    if image.mode in ("I", "F", "LAB"):
        raise UnsupportedImageError(
            f"a {name or 'picture'} of such samples (float, signed, 32-bit or CIELAB) is not "
            "decoded here; send grey or RGB of 8 or 16 bits"
        )
    image.info.pop("transparency", None)  # dropped like alpha; Pillow would warn of it
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image, tiff_tags: Mapping[int, Any]) -> Image.Image:
    full = 2 ** tiff_tags.get(BITS, (16,))[0] - 1
    values = np.asarray(image).astype(np.uint32)
    grey = np.minimum((values * 255 + full // 2) // full, 255).astype(np.uint8)
    if tiff_tags.get(COLOURS) == WHITE_IS_ZERO:  # which Pillow passes over
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")
