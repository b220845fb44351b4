"""COCO's panoptic PNG: a pixel's id is R + 256 G + 65536 B."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def read_panoptic_png(path: Path, height: int, width: int) -> np.ndarray:
    """Return (H, W) uint32, the segment id of each pixel.

    Raises:
        ValueError: the file cannot be read, or is of another size.
    """
    try:
        with Image.open(path) as image:
            four_bytes = np.array(image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"its true map {path.name} cannot be read: {error}") from None
    if four_bytes.shape[:2] != (height, width):
        found = f"{four_bytes.shape[1]}×{four_bytes.shape[0]}"
        raise ValueError(f"its true map {path.name} is {found}, not {width}×{height}")
    four_bytes[:, :, 3] = 0
    return four_bytes.view("<u4")[:, :, 0]


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
