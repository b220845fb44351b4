"""Mask truth in the network's own boxes: what it will have to fill when it is used.

A true box is tight and centred; the boxes of a small network are not. Where it learns masks in
them, it learns to leave out what lies beside the object.
"""
# N pictures, G objects of one picture, L locations of all levels, P chosen ones, M mask side

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from model.structures import DensePredictions
from model.train.losses.cells import Cells
from model.train.losses.targets import MaskTargets, moved
from model.train.samples.batch import TrainingBatch

_MIN_OVERLAP = 0.5


@torch.no_grad()
def own_mask_targets(
    predictions: DensePredictions, batch: TrainingBatch, strides: Sequence[int], limit: int
) -> MaskTargets:
    """Return the mask truth in the best boxes that the network itself draws around the objects.

    Of the locations whose box overlaps an object's (IoU above 0.5), those count that give its
    class the highest scores. Each is a region of its own, of weight 1.

    Args:
        limit: so many boxes for each object at most.
    """
    device = predictions.bases.device
    sizes = [(int(level.shape[2]), int(level.shape[3])) for level in predictions.class_logits]
    points = torch.cat([_points(*each, device) for each in zip(sizes, strides, strict=True)])
    levels = torch.arange(len(sizes), device=device)
    levels = levels.repeat_interleave(torch.tensor([h * w for h, w in sizes], device=device))
    found = []
    for image in range(len(batch.classes)):
        kept = batch.has_mask[image]
        truth_boxes = moved(batch.boxes_xyxy[image][kept], device)
        classes = moved(batch.classes[image][kept], device)
        boxes = _decoded(predictions, image, points, strides)
        logits = torch.cat([level[image].flatten(1) for level in predictions.class_logits], dim=1)
        scores = logits[classes].float().sigmoid()  # (G, L)
        scores = scores.masked_fill(box_iou(truth_boxes, boxes) <= _MIN_OVERLAP, 0)
        best, places = scores.topk(min(limit, scores.shape[1]), dim=1)
        objects, rank = (best > 0).nonzero(as_tuple=True)
        places = places[objects, rank]
        masks = moved(batch.masks[image][kept], device)
        grids = _resampled(masks[objects], truth_boxes[objects], boxes[places])
        found.append((torch.full_like(places, image), places, boxes[places], grids))
    images, places, boxes, grids = (torch.cat(part) for part in zip(*found, strict=True))
    order = levels[places].argsort(stable=True)
    images, places, boxes, grids = images[order], places[order], boxes[order], grids[order]
    chosen = levels[places]
    first = torch.tensor([0, *(h * w for h, w in sizes[:-1])], device=device).cumsum(0)
    widths = torch.tensor([w for _, w in sizes], device=device)[chosen]
    within = places - first[chosen]
    return MaskTargets(
        cells=Cells(
            counts=torch.bincount(chosen, minlength=len(sizes)).tolist(),
            images=images,
            rows=within // widths,
            columns=within % widths,
        ),
        centerness=torch.ones(len(places), device=device),
        regions=torch.arange(len(places), device=device),
        boxes_xyxy=boxes,
        images=images,
        masks=grids,
    )


def _points(size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Return (h * w, 2): where a level's locations lie, x and y in pixels."""
    y, x = (torch.arange(side, device=device) * stride + stride // 2 for side in size)
    return torch.cartesian_prod(y, x).flip(1).float()


def _decoded(
    predictions: DensePredictions, image: int, points: Tensor, strides: Sequence[int]
) -> Tensor:
    """Return (L, 4): the box at each location of one picture."""
    distances = torch.cat(
        [
            level[image].flatten(1).T.float() * stride
            for level, stride in zip(predictions.distances, strides, strict=True)
        ]
    )
    return torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)


def _resampled(masks: Tensor, from_boxes: Tensor, to_boxes: Tensor) -> Tensor:
    """Return (P, M, M) bool: masks on grids over some boxes, read on grids over others.

    Args:
        masks: (P, M, M) bool. from_boxes, to_boxes: (P, 4).
    """
    side = masks.shape[-1]
    unit = (torch.arange(side, device=masks.device) + 0.5) / side
    low, high = to_boxes[:, None, :2], to_boxes[:, None, 2:]
    points = low + unit[:, None] * (high - low)  # (P, M, 2), x and y
    start, extent = from_boxes[:, None, :2], from_boxes[:, None, 2:] - from_boxes[:, None, :2]
    points = (points - start) / extent * 2 - 1
    x, y = points[:, None, :, 0].expand(-1, side, -1), points[:, :, None, 1].expand(-1, -1, side)
    read = F.grid_sample(masks[:, None].float(), torch.stack((x, y), dim=-1), align_corners=False)
    return read[:, 0] > 0.5
