"""The compiled operations in plain NumPy and PyTorch: what each must return, on any device.

A test holds every compiled implementation to these.
"""
# N images, R instances, K bases, A attention side, M mask side

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from model.masks.run_lengths import compress, counts_of

BASES_STRIDE = 4


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


def tight_box(mask: np.ndarray, top: int, left: int) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) around the pixels of a mask at (left, top); zeros if none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0, 0, 0, 0)
    return (
        left + int(columns[0]),
        top + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )


def paste_rle(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the run lengths, areas and tight boxes of `paste`'s masks; see `ops.paste_rle`."""
    crops = paste(probabilities, boxes_xyxy, height, width, threshold)
    device = probabilities.device
    counts = [counts_of(crop.mask, crop.top, crop.left, height, width) for crop in crops]
    boxes = [tight_box(crop.mask, crop.top, crop.left) for crop in crops]
    areas = [int(crop.mask.sum()) for crop in crops]
    return (
        torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *counts])).to(device),
        offsets_of([len(one) for one in counts]).to(device),
        torch.tensor(areas, dtype=torch.int64, device=device),
        torch.tensor(boxes, dtype=torch.int64, device=device).view(-1, 4),
    )


def compress_rle(counts: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return COCO's strings for packed run lengths; see `ops.compress_rle`."""
    values, bounds = counts.cpu().numpy(), offsets.cpu().numpy()
    texts = [compress(values[first:last]) for first, last in pairwise(bounds.tolist())]
    text = torch.from_numpy(np.frombuffer(b"".join(texts), dtype=np.uint8).copy())
    return text.to(counts.device), offsets_of([len(one) for one in texts]).to(counts.device)


def offsets_of(lengths: Sequence[int]) -> Tensor:
    """Return where each of several parts begins in their concatenation, and its end: (N + 1,)."""
    return torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)


def paste(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> list[MaskCrop]:
    """Return each object's mask; see `ops.paste_rle` and, for the rule, `model.prediction.paste`.

    The arithmetic is float32 in a fixed order, so every implementation can match it bit for
    bit: first along x, then along y, each as a + w (b - a).
    """
    maps = probabilities.detach().float().cpu().numpy()
    boxes = boxes_xyxy.detach().float().cpu().numpy()
    limit = np.float32(threshold)
    # Boxes of any size and maps of any content are taken: infinities compare as they should.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
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
    first = min(max(int(np.floor(float(low) - reach)), 0), num_pixels)
    last = max(min(int(np.ceil(float(high) + reach)), num_pixels), first)
    centres = np.arange(first, last).astype(np.float32) + np.float32(0.5)
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


def blend(
    bases: Tensor,
    boxes_xyxy: Tensor,
    images: Tensor,
    attentions: Tensor,
    mask_size: int,
    sampling_ratio: int,
    aligned: bool,
    bilinear: bool,
) -> Tensor:
    """Return each box's probabilities (R, M, M); see `ops.blend`."""
    regions = crop_bases(bases, boxes_xyxy, images, mask_size, sampling_ratio, aligned)
    return mask_logits(regions, attentions, bilinear).sigmoid()


def crop_bases(
    bases: Tensor,
    boxes_xyxy: Tensor,
    images: Tensor,
    mask_size: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Return the bases in each box, (R, K, M, M); see `ops.blend` for the arguments."""
    regions: Tensor = roi_align(
        bases,
        torch.cat([images.to(boxes_xyxy.dtype)[:, None], boxes_xyxy], dim=1),
        output_size=(mask_size, mask_size),
        spatial_scale=1 / BASES_STRIDE,
        sampling_ratio=sampling_ratio,
        aligned=aligned,
    )
    return regions


def mask_logits(regions: Tensor, attentions: Tensor, bilinear: bool) -> Tensor:
    """Return (R, M, M) logits: the bases of each box, (R, K, M, M), weighted by its attentions."""
    size = regions.shape[-2:]
    if bilinear:
        weights = F.interpolate(attentions, size, mode="bilinear", align_corners=False)
    else:
        weights = F.interpolate(attentions, size, mode="nearest")
    # (R, K, M, M) -> (R, M, M)
    return (regions * weights.softmax(dim=1)).sum(dim=1)
