"""The losses of masks, of the basis module's auxiliary head and of the semantic head.

BlendMask, section 3.3; spec, sections 8, 9.3 and 9.4.
"""
# N pictures, K bases, P positive locations with a mask, R objects, M mask side, A attention side

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import BlenderConfig
from model.network.blender import crop_bases, mask_logits
from model.network.fcos import TopLayer
from model.train.losses.cells import Cells
from model.train.losses.targets import MaskTargets

UNKNOWN = 255


def attentions_at(cells: Cells, box_features: list[Tensor], top_layer: TopLayer) -> Tensor:
    """Return the attentions at the cells, (P, K, A, A); the top layer runs nowhere else."""
    return torch.cat(
        [
            top_layer.attentions_at(features, *at)
            for features, at in zip(box_features, cells.by_level(), strict=True)
        ]
    )


def mask_loss(
    bases: Tensor, attentions: Tensor, targets: MaskTargets, config: BlenderConfig
) -> Tensor:
    """Return the sum over the positive locations of centerness × mean pixel loss.

    Each object's bases are cropped once, over its true box, for all of its locations.

    Args:
        bases: (N, K, H/4, W/4). attentions: (P, K, A, A).
    """
    boxes = targets.boxes_xyxy.to(bases.dtype)
    regions = crop_bases(bases, boxes, targets.images, config)
    # (R, K, M, M) -> (P, K, M, M) -> (P, M, M)
    logits = mask_logits(regions[targets.regions], attentions, config)
    truth = targets.masks[targets.regions].to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
    return (losses * targets.centerness).sum()


def unknown_in(labels: Tensor) -> int:
    """Return the label of pixels that no loss reads."""
    return UNKNOWN if labels.dtype == torch.uint8 else -1


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy summed over the pixels whose label is known.

    Args:
        logits: (N, classes, h, w).
        labels: (N, h, w) uint8, 255 unknown; or int32, -1 unknown.
    """
    return F.cross_entropy(logits, labels.long(), ignore_index=unknown_in(labels), reduction="sum")


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return `label_loss` of logits at a quarter of the labels' size, interpolated to it."""
    return label_loss(
        F.interpolate(logits, scale_factor=4.0, mode="bilinear", align_corners=False), labels
    )
