"""Instances and stuff share the pixels of a picture: one partition (spec, section 8)."""
# S semantic labels, h and w rows and columns at stride 4, H and W of the picture

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import PanopticConfig
from model.ops import MaskCrop
from model.rle import encode_crop
from model.structures import PanopticSegmentation, Segment

# Labels compared at a time: bounds the memory to a few maps of the picture's size.
_LABELS_AT_ONCE = 4


def semantic_labels(
    logits: Tensor, resized_size: tuple[int, int], output_size: tuple[int, int]
) -> np.ndarray:
    """Return the best label of every pixel of the picture, (H, W) uint8.

    Logits are enlarged to the padded input, cut to the resized picture and resized to the
    picture, all bilinearly; the first of equal labels wins.

    Args:
        logits: (S, h, w).
        resized_size, output_size: (height, width) of the network's view and of the picture.
    """
    best: Tensor | None = None
    labels = torch.zeros(output_size, dtype=torch.uint8, device=logits.device)
    for first in range(0, logits.shape[0], _LABELS_AT_ONCE):
        some = logits[None, first : first + _LABELS_AT_ONCE]
        padded = F.interpolate(some, scale_factor=4.0, mode="bilinear", align_corners=False)
        view = padded[:, :, : resized_size[0], : resized_size[1]]
        full = F.interpolate(view, output_size, mode="bilinear", align_corners=False)[0]
        top, index = full.max(dim=0)
        if best is None:
            best, labels = top, (index + first).to(torch.uint8)
        else:
            better = top > best
            labels[better] = (index[better] + first).to(torch.uint8)
            torch.maximum(best, top, out=best)
    return labels.cpu().numpy()


def merge(
    crops: Sequence[MaskCrop],
    scores: Sequence[float],
    classes: Sequence[int],
    labels: np.ndarray,
    config: PanopticConfig,
) -> PanopticSegmentation:
    """Return the partition: instances by descending score, then stuff where they left room.

    Args:
        crops, scores, classes: the instances, best score first.
        labels: (H, W) the semantic label of every pixel, 0 for things.
    """
    segment_ids = np.zeros(labels.shape, dtype=np.int32)
    segments: list[Segment] = []
    for crop, score, label in zip(crops, scores, classes, strict=True):
        if score < config.instance_score_threshold:
            break
        area = int(crop.mask.sum())
        if area == 0:
            continue
        window = segment_ids[crop.window()]
        free = crop.mask & (window == 0)
        left = int(free.sum())
        if (area - left) / area > config.max_overlap:
            continue
        window[free] = len(segments) + 1
        bbox = _tight_box(free, crop.top, crop.left)
        segments.append(
            Segment(
                id=len(segments) + 1,
                label=label,
                is_thing=True,
                score=score,
                area=left,
                bbox_xywh=bbox,
                mask=None,
            )
        )
    segments += _stuff(segment_ids, labels, config, first_id=len(segments) + 1)
    return PanopticSegmentation(segment_ids=segment_ids, segments=segments)


def _stuff(
    segment_ids: np.ndarray, labels: np.ndarray, config: PanopticConfig, *, first_id: int
) -> list[Segment]:
    """Give the pixels that are left to stuff, in `segment_ids`, and return its segments."""
    left = np.where(segment_ids == 0, labels, 0)
    areas = np.bincount(left.ravel())
    segments: list[Segment] = []
    for label in np.flatnonzero(areas >= max(config.min_stuff_area, 1)):
        if label == 0:
            continue
        region = left == label
        number = first_id + len(segments)
        segment_ids[region] = number
        segments.append(
            Segment(
                id=number,
                label=int(label),
                is_thing=False,
                score=None,
                area=int(areas[label]),
                bbox_xywh=_tight_box(region, 0, 0),
                mask=None,
            )
        )
    return segments


def choose(
    result: PanopticSegmentation, kept_ids: Collection[int], *, masks: bool
) -> PanopticSegmentation:
    """Return the partition with only those segments, the rest void, and their run lengths."""
    height, width = result.segment_ids.shape
    dropped = [segment.id for segment in result.segments if segment.id not in kept_ids]
    segment_ids = result.segment_ids
    if dropped:
        segment_ids = np.where(np.isin(segment_ids, dropped), np.int32(0), segment_ids)
    segments = []
    for segment in result.segments:
        if segment.id not in kept_ids:
            continue
        mask = None
        if masks:
            x, y, w, h = segment.bbox_xywh
            crop = segment_ids[y : y + h, x : x + w] == segment.id
            mask = encode_crop(crop, y, x, height, width)
        segments.append(
            Segment(
                id=segment.id,
                label=segment.label,
                is_thing=segment.is_thing,
                score=segment.score,
                area=segment.area,
                bbox_xywh=segment.bbox_xywh,
                mask=mask,
            )
        )
    return PanopticSegmentation(segment_ids=segment_ids, segments=segments)


def _tight_box(mask: np.ndarray, top: int, left: int) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) around the mask's pixels; zeros if there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0, 0, 0, 0)
    return (
        left + int(columns[0]),
        top + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )
