"""Objects' outlines to masks: on a grid over their own box, or in the whole picture."""
# M mask side, H and W of a picture

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from model.masks.clip import clip_polygon
from model.masks.run_columns import crop_of
from model.masks.run_lengths import compress
from model.structures import RLE

_FAR = 16  # sides of a grid; a mask that its box fits is within one


@dataclass(frozen=True, kw_only=True)
class Bitmap:
    """A mask's tight crop: bool (h, w), and the picture's pixel that its corner lies at."""

    crop: np.ndarray
    top: int
    left: int


Polygons = list[np.ndarray]  # (n, 2) float64 each: x and y of the corners, in pixels
Shape = Polygons | Bitmap


def bitmap_of(rle: RLE) -> Bitmap:
    """Return what run lengths hold, without a mask of the whole picture."""
    crop, top, left = crop_of(rle)
    return Bitmap(crop=crop, top=top, left=left)


def polygons_on_grid(polygons: Polygons, box_xyxy: np.ndarray, size: int) -> np.ndarray:
    """Return (M, M) bool: the union of the polygons, rasterised by COCO's rule over the box.

    Args:
        box_xyxy: (4,) float32, in the polygons' frame. Its precision is the original's: the
            masks are equal bit for bit (spec, section 9.3).
        size: M.
    """
    x0, y0, x1, y1 = box_xyxy
    # float32, as the original's: with NumPy 2 a factor keeps its box's precision.
    scale_x = np.float32(size) / np.maximum(x1 - x0, np.float32(0.1))
    scale_y = np.float32(size) / np.maximum(y1 - y0, np.float32(0.1))
    moved = [(polygon - (x0, y0)) * (scale_x, scale_y) for polygon in polygons]
    return fill([near for polygon in moved for near in _near(polygon, size)], size, size)


def _near(polygon: np.ndarray, size: int) -> list[np.ndarray]:
    """Return a polygon in a grid's frame, cut to the grid's surroundings if it reaches far.

    Drawing costs time and memory by the outline's length, which has no limit where a box is tiny.
    """
    if np.abs(polygon).max() <= _FAR * size:
        return [polygon]
    return clip_polygon(polygon, -size, -size, 2 * size, 2 * size)


def bitmap_on_grid(bitmap: Bitmap, box_xyxy: np.ndarray, size: int) -> np.ndarray:
    """Return (M, M) bool: the cells that the mask covers by at least half.

    Args:
        box_xyxy: (4,), in the bitmap's frame; it may leave the bitmap.
        size: M.
    """
    height, width = bitmap.crop.shape
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = bitmap.crop.cumsum(axis=0).cumsum(axis=1)
    xs = np.linspace(box_xyxy[0], box_xyxy[2], size + 1) - bitmap.left
    ys = np.linspace(box_xyxy[1], box_xyxy[3], size + 1) - bitmap.top
    # The sum over (0, 0)..(x, y) is linear between corners of pixels: coverage is exact.
    covered = np.diff(np.diff(_between(_between(sums, ys).T, xs).T, axis=0), axis=1)
    cell = (box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1]) / size**2
    return np.asarray(covered >= 0.5 * max(float(cell), 1e-9))


def _between(rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Read rows at fractional positions, linearly; outside the first or the last row."""
    positions = np.clip(positions, 0, len(rows) - 1)
    low = np.minimum(positions.astype(np.int64), max(len(rows) - 2, 0))
    share = (positions - low)[:, None]
    high = np.minimum(low + 1, len(rows) - 1)
    return np.asarray(rows[low] * (1 - share) + rows[high] * share)


def run_lengths(polygons: Polygons, height: int, width: int) -> RLE:
    """Return the run lengths of the polygons' union in a picture, by COCO's rule."""
    if not polygons:
        return RLE(size=[height, width], counts=compress([height * width]))
    flat = [polygon.reshape(-1).tolist() for polygon in polygons]
    merged: Any = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
    return RLE(size=[height, width], counts=merged["counts"])


def fill(polygons: Polygons, height: int, width: int) -> np.ndarray:
    """Return (H, W) bool: the polygons' union in a picture, by COCO's rule."""
    rle: Any = run_lengths(polygons, height, width)
    return np.asarray(coco_mask.decode(rle)).astype(bool)


def paint(
    shapes: Sequence[tuple[Shape, int]], height: int, width: int, *, canvas: np.ndarray
) -> None:
    """Paint shapes on a (H, W) canvas, each with its value, later ones over earlier ones."""
    for shape, value in shapes:
        if isinstance(shape, Bitmap):
            bitmap = shape
        else:
            bitmap = bitmap_of(run_lengths(shape, height, width))
        h, w = bitmap.crop.shape
        part = canvas[bitmap.top : bitmap.top + h, bitmap.left : bitmap.left + w]
        part[bitmap.crop] = value
