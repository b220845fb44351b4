"""JPEG to pixels by libjpeg-turbo, without the copies that Pillow makes on the way."""

from __future__ import annotations

import numpy as np
import simplejpeg

# What Pillow converts in other ways, or not at all, is left to it.
_COLOURS = frozenset({"YCbCr", "Gray"})


def decode_jpeg(data: bytes) -> np.ndarray | None:
    """Return the pixels as stored, RGB uint8 (H, W, 3), the same as Pillow's.

    Returns None for a picture that this decoder does not take: CMYK, or one with any damage,
    which Pillow judges.
    """
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in _COLOURS:
            return None
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None
    return pixels
