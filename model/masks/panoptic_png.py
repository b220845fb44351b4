"""COCO's panoptic PNG: a pixel's id is R + 256 G + 65536 B."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    pass


def panoptic_png(segment_ids: np.ndarray) -> bytes:
    """Return COCO's panoptic PNG: each pixel's id is R + 256 G + 65536 B, and 0 is void.

    Args:
        segment_ids: (H, W) whole numbers, 0 to 2²⁴ - 1.
    """
    octets = np.ascontiguousarray(segment_ids, dtype="<u4").view(np.uint8)
    pixels = octets.reshape(*segment_ids.shape, 4)[:, :, :3]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
