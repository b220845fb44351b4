"""COCO's ways to write a mask (polygons, run lengths), as the records keep it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from model.datasets.records import StoredShape
from model.masks.run_columns import decompress
from model.masks.run_lengths import compress

# Longest sides of the picture between a corner and the picture. Objects that tiles were cut from
# reach far; what is further away is a slip, and drawing it would take the memory of a machine.
_FARTHEST = 50

_CHARACTERS = bytes(range(48, 112))  # of compressed run lengths


class ReadShape(NamedTuple):
    """A mask as far as it can be used; what had to be dropped: a kind of finding, and how it looks.

    shape: None if it is absent, empty or broken.
    """

    shape: StoredShape
    dropped: str | None = None
    example: str = ""


def read_shape(segmentation: Any, height: int, width: int) -> ReadShape:
    """Return a segmentation as training and evaluation use it, in a picture of that size.

    Polygons need three corners or more, run lengths must fill the picture: what draws them would
    run for ever, or out of memory.
    """
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        counts = _sound_counts(segmentation.get("counts"), height * width)
        if size != [height, width] or counts is None:
            return ReadShape(None, "run_lengths", f"size {size!r:.60}")
        return ReadShape(compress(counts))
    if segmentation is None:
        return ReadShape(None)
    if not isinstance(segmentation, list):
        return ReadShape(None, "polygon", f"{segmentation!r:.60}")
    found = [(ring, _sound_polygon(ring, height, width)) for ring in segmentation]
    shape = tuple(corners.tobytes() for _, corners in found if corners is not None) or None
    broken = [f"{ring!r:.60}" for ring, corners in found if corners is None]
    return ReadShape(shape, "polygon", broken[0]) if broken else ReadShape(shape)


def extent_of(shape: StoredShape, height: int, width: int) -> np.ndarray | None:
    """Return a mask's own box, (4,) float64 x0, y0, x1, y1; None without a mask."""
    if shape is None:
        return None
    if isinstance(shape, tuple):
        corners = np.frombuffer(b"".join(shape), dtype=np.float64).reshape(-1, 2)
        return np.concatenate((corners.min(axis=0), corners.max(axis=0)))
    x, y, w, h = coco_mask.toBbox({"size": [height, width], "counts": shape}).tolist()
    return np.array([x, y, x + w, y + h])


def _sound_counts(counts: Any, num_pixels: int) -> np.ndarray | None:
    """Return run lengths, compressed or not, as (T,) int64; None unless they fill the picture."""
    try:
        if isinstance(counts, str):
            text = counts.encode("ascii")
            # Six bits a character: what is not of these would be read as other numbers.
            if text.translate(None, _CHARACTERS):
                return None
            values = decompress(text)
        else:
            values = np.array(counts)
    except (ValueError, OverflowError):
        return None
    if values.ndim != 1 or values.dtype.kind != "i" or len(values) == 0:
        return None
    in_range = values.min() >= 0 and values.max() <= num_pixels
    return values if in_range and values.sum() == num_pixels else None


def _sound_polygon(ring: Any, height: int, width: int) -> np.ndarray | None:
    """Return a flat list of corners as (2 n,) float64; None unless it can be drawn.

    Drawing takes the memory of the outline: it may be as long as the picture has pixels, besides
    once around all that corners may reach.
    """
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        return None
    try:
        corners = np.array(ring)
    except ValueError:  # lists of several lengths in it
        return None
    if corners.ndim != 1 or corners.dtype.kind not in "iuf":
        return None
    corners = corners.astype(np.float64, copy=False)
    farthest = _FARTHEST * max(height, width)
    reach = np.abs(corners).max()
    if not reach <= farthest:  # NaN is not, either
        return None
    longest = height * width + 8 * farthest
    # Most have no chance to be as long, which is soon seen.
    is_short = len(corners) * reach <= longest or _outline_length(corners) <= longest
    return corners if is_short else None


def _outline_length(corners: np.ndarray) -> float:
    """Return how many steps of a pixel, straight or aslant, go around a polygon."""
    points = corners.reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
