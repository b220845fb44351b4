"""The only door to compiled operations; what stands here are the plain references.

Everything below runs on any device. Where an operation gets a compiled implementation, its
reference stays beside it and a test holds one to the other.
"""
# R instances, M mask side, K bases

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaskCrop:
    """One mask, as the part of the picture that its box can reach: (h, w) bool at (left, top)."""

    mask: np.ndarray
    top: int
    left: int

    def window(self) -> tuple[slice, slice]:
        """Return the rows and columns of the picture that the crop covers."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def paste(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> list[MaskCrop]:
    """Return each object's mask; see `model.rle.paste` for the arguments and the rule.

    The arithmetic is float32 in a fixed order, so every implementation can match it bit for
    bit: first along x, then along y, each as a + w (b - a).
    """
    if probabilities.ndim != 3 or probabilities.shape[1] != probabilities.shape[2]:
        raise ValueError(f"probabilities must be (R, M, M), not {tuple(probabilities.shape)}")
    if boxes_xyxy.shape != (probabilities.shape[0], 4):
        raise ValueError(
            f"boxes must be ({probabilities.shape[0]}, 4), not {tuple(boxes_xyxy.shape)}"
        )
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must be above 0 and at most 1")
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}×{height} has no pixels")
    maps = probabilities.detach().float().cpu().numpy()
    boxes = boxes_xyxy.detach().float().cpu().numpy()
    limit = np.float32(threshold)
    return [
        _paste_one(one, box, height, width, limit) for one, box in zip(maps, boxes, strict=True)
    ]


def _paste_one(
    probability: np.ndarray, box: np.ndarray, height: int, width: int, threshold: np.float32
) -> MaskCrop:
    size = len(probability)
    left, cell_x, weight_x = _cells(box[0], box[2], width, size)
    top, cell_y, weight_y = _cells(box[1], box[3], height, size)
    if len(cell_x) == 0 or len(cell_y) == 0:
        return MaskCrop(mask=np.zeros((0, 0), dtype=bool), top=0, left=0)
    bordered = np.zeros((size + 2, size + 2), dtype=np.float32)
    bordered[1:-1, 1:-1] = probability
    along_x = bordered[:, cell_x]
    along_x = along_x + weight_x * (bordered[:, cell_x + 1] - along_x)
    values = along_x[cell_y]
    values += weight_y[:, None] * (along_x[cell_y + 1] - values)
    return MaskCrop(mask=values >= threshold, top=top, left=left)


def _cells(
    low: np.float32, high: np.float32, num_pixels: int, size: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the pixels along one axis that read the map, and where each reads it.

    Returns:
        the first such pixel; for each the cell of the bordered map before its centre; and how
        far its centre lies towards the next cell, 0..1.
    """
    nothing = (0, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        return nothing
    reach = (float(high) - float(low)) / size / 2 + 1
    first = min(max(int(np.floor(low - reach)), 0), num_pixels)
    last = max(min(int(np.ceil(high + reach)), num_pixels), first)
    centres = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    # grid_sample's convention without aligned corners: -1 and 1 are the map's outer edges.
    normalised = (centres - low) / (high - low) * np.float32(2) - np.float32(1)
    position = ((normalised + np.float32(1)) * np.float32(size) - np.float32(1)) / np.float32(2)
    cell = np.floor(position)
    inside = np.flatnonzero((cell >= -1) & (cell < size))
    if len(inside) == 0:
        return nothing
    kept = slice(int(inside[0]), int(inside[-1]) + 1)
    return (
        first + kept.start,
        cell[kept].astype(np.int64) + 1,
        (position[kept] - cell[kept]).astype(np.float32),
    )
