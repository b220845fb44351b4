"""COCO's ways to write a mask (polygons, run lengths), as the records keep it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from model.datasets.numbers_as_text import as_numbers
from model.datasets.polygon_lists import flat_rings
from model.datasets.records import StoredShape
from model.masks.run_columns import decompress
from model.masks.run_lengths import compress

# Longest sides of the picture between a corner and the picture. Objects that tiles were cut from
# reach far; what is further away is a slip, and drawing it would take the memory of a machine.
FARTHEST = 50

_CHARACTERS = bytes(range(48, 112))  # of compressed run lengths


class ReadShape(NamedTuple):
    """A mask as far as it can be used.

    shape: None if it is absent, empty or broken. kinds: what had to be dropped, or read otherwise
    than it is written, as kinds of findings. example: how that looks.
    """

    shape: StoredShape
    kinds: tuple[str, ...] = ()
    example: str = ""


def read_shape(segmentation: Any, height: int, width: int) -> ReadShape:
    """Return a segmentation as training and evaluation use it, in a picture of that size.

    Polygons need three corners or more, run lengths must fill the picture: what draws them would
    run for ever, or out of memory.
    """
    if isinstance(segmentation, dict):
        return _read_run_lengths(segmentation, height, width)
    if segmentation is None:
        return ReadShape(None)
    if not isinstance(segmentation, list):
        return ReadShape(None, ("polygon",), f"{segmentation!r:.60}")
    rings, kinds = flat_rings(segmentation)
    found = [(ring, _sound_polygon(ring, height, width)) for ring in rings]
    shape = tuple(corners.tobytes() for _, corners in found if corners is not None) or None
    broken = [ring for ring, corners in found if corners is None]
    if broken:
        kinds.append("polygon" if shape is None else "ring")
    shown = broken[0] if broken else segmentation
    return ReadShape(shape, tuple(kinds), f"{shown!r:.60}" if kinds else "")


def _read_run_lengths(segmentation: dict[str, Any], height: int, width: int) -> ReadShape:
    written = segmentation.get("size"), segmentation.get("counts")
    size = as_numbers(written[0])
    # A text of counts is compressed, whatever it looks like.
    listed = as_numbers(written[1]) if isinstance(written[1], list) else written[1]
    counts = _sound_counts(listed, height * width)
    if size != [height, width] or counts is None:
        shown = f"size {written[0]!r:.60} in {width}×{height}"
        is_turned = size == [width, height]
        return ReadShape(
            None, ("run_lengths",), shown + ": height and width are swapped" * is_turned
        )
    is_text = size is not written[0] or listed is not written[1]
    return ReadShape(compress(counts), ("text_number",) if is_text else ())


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
    farthest = FARTHEST * max(height, width)
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
