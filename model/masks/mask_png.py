"""A mask as a grey PNG of the whole picture: 255 in the mask, 0 elsewhere."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from model.masks.run_columns import crop_of
from model.masks.run_lengths import compress, counts_of
from model.structures import RLE

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = ("1", "L", "P", "I", "I;16")


def mask_png(rle: RLE) -> bytes:
    """Return a mask as a PNG."""
    height, width = rle["size"]
    crop, top, left = crop_of(rle)
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[top : top + crop.shape[0], left : left + crop.shape[1]] = crop * np.uint8(255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def read_mask_png(data: bytes, height: int, width: int) -> RLE:
    """Return the mask of a PNG: the pixels that are not 0.

    Raises:
        ValueError: it is no PNG, of another size, damaged, or in colours.
    """
    pixels = _pixels(data, height, width, _MODES, "grey or with a palette")
    counts = counts_of(pixels != 0, 0, 0, height, width)
    return RLE(size=[height, width], counts=compress(counts))


def read_id_png(data: bytes, height: int, width: int) -> np.ndarray:
    """Return the segment ids, (H, W) uint32, of COCO's panoptic PNG.

    Raises:
        ValueError: it is no PNG, of another size, damaged, or not in colours.
    """
    pixels = _pixels(data, height, width, ("RGB",), "in RGB colours").astype(np.uint32)
    ids: np.ndarray = pixels[..., 0] | pixels[..., 1] << 8 | pixels[..., 2] << 16
    return ids


def _pixels(
    data: bytes, height: int, width: int, modes: tuple[str, ...], wanted: str
) -> np.ndarray:
    # Judged by its head before anything is unpacked.
    if not data.startswith(_SIGNATURE) or len(data) < 24:
        raise ValueError("it is no PNG")
    told = struct.unpack(">II", data[16:24])
    if told != (width, height):
        raise ValueError(f"the PNG is {told[0]}×{told[1]}, not {width}×{height}")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in modes:
                raise ValueError(f"the PNG must be {wanted}")
            return np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError, struct.error) as error:
        raise ValueError(f"the PNG cannot be read: {error}") from None
