"""The losses of classes, boxes and centerness (FCOS, section 3.1; spec, section 9.2)."""
# N pictures, C classes, P positive locations, h and w rows and columns of a level

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from model.train.losses.targets import DetectionTargets


def class_loss(
    logits: Sequence[Tensor],
    targets: DetectionTargets,
    labelled: Tensor,
    *,
    alpha: float,
    gamma: float,
) -> Tensor:
    """Return the focal loss summed over all locations and classes (arXiv:1708.02002, eq. 5).

    Args:
        logits: (N, C, h, w) of each level.
        labelled: (N, C), 1 for the classes that the picture's data set labels, 0 where nothing
            is known: there is no loss.
    """
    total = logits[0].new_zeros(())
    classes_by_level = torch.split(targets.classes, targets.cells.counts)
    cells_by_level = targets.cells.by_level()
    for level, classes, (images, rows, columns) in zip(
        logits, classes_by_level, cells_by_level, strict=True
    ):
        losses = (1 - alpha) * _focal(level, gamma)
        at_object = (images, classes, rows, columns)
        losses.index_put_(at_object, alpha * _focal(-level[at_object], gamma))
        total = total + (losses.sum((2, 3)) * labelled).sum()
    return total


def quality_class_loss(
    logits: Sequence[Tensor],
    distances: Tensor,
    targets: DetectionTargets,
    labelled: Tensor,
    *,
    gamma: float,
) -> Tensor:
    """Return the quality focal loss summed over all locations and classes (GFL, arXiv:2006.04388).

    Where an object is, its class is to be the overlap (IoU) of the predicted box with the true one.

    Args:
        logits: (N, C, h, w) of each level.
        distances: (P, 4), predicted at the positive locations, in strides.
        labelled: (N, C), as in `class_loss`.
    """
    total = logits[0].new_zeros(())
    overlaps = torch.split(_overlap(distances, targets.distances), targets.cells.counts)
    classes_by_level = torch.split(targets.classes, targets.cells.counts)
    for level, classes, overlap, (images, rows, columns) in zip(
        logits, classes_by_level, overlaps, targets.cells.by_level(), strict=True
    ):
        losses = _focal(level, gamma)
        at_object = (images, classes, rows, columns)
        there = level[at_object]
        wrong = (overlap - there.sigmoid()).abs().pow(gamma)
        entropy = F.binary_cross_entropy_with_logits(there, overlap, reduction="none")
        losses.index_put_(at_object, wrong * entropy)
        total = total + (losses.sum((2, 3)) * labelled).sum()
    return total


def _overlap(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the IoU, (P,), of boxes given by distances from one location each, (P, 4)."""
    intersection = _area(torch.minimum(predicted, target))
    return intersection / (_area(predicted) + _area(target) - intersection)


def _focal(logits: Tensor, gamma: float) -> Tensor:
    """The loss of saying yes with these logits where the answer is no."""
    return logits.sigmoid().pow(gamma) * -F.logsigmoid(-logits)


def box_losses(
    predicted: Tensor, target: Tensor, kind: Literal["giou", "iou", "linear_iou"]
) -> Tensor:
    """Return each location's loss, (P,), from its distances to the box's sides, (P, 4), in strides.

    One cell is added to intersection and union. GIoU: arXiv:1902.09630; IoU: arXiv:1608.01471.
    """
    intersection = torch.minimum(predicted, target)
    intersection_area = _area(intersection)
    union_area = _area(predicted) + _area(target) - intersection_area
    iou = (intersection_area + 1) / (union_area + 1)
    if kind == "iou":
        return -iou.log()
    if kind == "linear_iou":
        return 1 - iou
    hull_area = _area(torch.maximum(predicted, target))
    return 1 - (iou - (hull_area - union_area) / hull_area)


def _area(ltrb: Tensor) -> Tensor:
    return (ltrb[:, 0] + ltrb[:, 2]) * (ltrb[:, 1] + ltrb[:, 3])


def centerness_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the binary cross entropy summed over the positive locations, (P,) each."""
    return F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="sum")
