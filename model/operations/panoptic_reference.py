"""The panoptic partition in plain NumPy and PyTorch: what `ops.panoptic_merge` must return."""
# R instances, M mask side, S semantic labels, h and w rows and columns at stride 4,
# H and W of the picture

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.masks.run_lengths import counts_of
from model.operations.reference import MaskCrop, offsets_of, paste, tight_box

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


def panoptic_merge(
    probabilities: Tensor,
    boxes_xyxy: Tensor,
    scores: Tensor,
    logits: Tensor,
    resized_height: int,
    resized_width: int,
    height: int,
    width: int,
    mask_threshold: float,
    score_threshold: float,
    max_overlap: float,
    min_stuff_area: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return a picture's partition; see `ops.panoptic_merge`."""
    labels = semantic_labels(logits, (resized_height, resized_width), (height, width))
    crops = paste(probabilities, boxes_xyxy, height, width, mask_threshold)
    segment_ids, sources = partition(
        crops, scores.tolist(), labels, score_threshold, max_overlap, min_stuff_area
    )
    areas, boxes, counts = [], [], [np.zeros(0, dtype=np.int64)]
    for number in range(1, len(sources) + 1):
        region = segment_ids == number
        x, y, w, h = tight_box(region, 0, 0)
        areas.append(int(region.sum()))
        boxes.append((x, y, w, h))
        counts.append(counts_of(region[y : y + h, x : x + w], y, x, height, width))
    device = logits.device
    return (
        torch.from_numpy(segment_ids).to(device),
        torch.tensor(sources, dtype=torch.int64, device=device),
        torch.tensor(areas, dtype=torch.int64, device=device),
        torch.tensor(boxes, dtype=torch.int64, device=device).view(-1, 4),
        torch.from_numpy(np.concatenate(counts)).to(device),
        offsets_of([len(one) for one in counts[1:]]).to(device),
    )


def partition(
    crops: Sequence[MaskCrop],
    scores: Sequence[float],
    labels: np.ndarray,
    score_threshold: float,
    max_overlap: float,
    min_stuff_area: int,
) -> tuple[np.ndarray, list[int]]:
    """Return whose each pixel is: instances by descending score, then stuff where there is room.

    Args:
        crops, scores: the instances, best score first.
        labels: (H, W) the semantic label of every pixel, 0 for things.
    Returns:
        (H, W) int32 segment ids from 1, 0 for void; and what each segment is: the number of
        an instance, or minus the label of stuff.
    """
    segment_ids = np.zeros(labels.shape, dtype=np.int32)
    sources: list[int] = []
    for number, (crop, score) in enumerate(zip(crops, scores, strict=True)):
        if score < score_threshold:
            break
        area = int(crop.mask.sum())
        if area == 0:
            continue
        window = segment_ids[crop.window()]
        free = crop.mask & (window == 0)
        if (area - int(free.sum())) / area > max_overlap:
            continue
        sources.append(number)
        window[free] = len(sources)
    left = np.where(segment_ids == 0, labels, 0)
    areas = np.bincount(left.ravel())
    for label in np.flatnonzero(areas >= max(min_stuff_area, 1)):
        if label != 0:
            sources.append(-int(label))
            segment_ids[left == label] = len(sources)
    return segment_ids, sources
