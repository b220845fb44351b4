"""The blender: bases and attentions make a mask in each box (BlendMask, section 3.3)."""
# N images, R boxes, K bases, A attention side, M mask side

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from model.config import BlenderConfig

BASES_STRIDE = 4


def blend(
    bases: Tensor, boxes_xyxy: Tensor, images: Tensor, attentions: Tensor, config: BlenderConfig
) -> Tensor:
    """Return the probability of each box's object on an M × M grid over the box.

    Args:
        bases: (N, K, H/4, W/4).
        boxes_xyxy: (R, 4) in pixels of the network input, as decoded, not clipped.
        images: (R,) which picture each box is in.
        attentions: (R, K, A, A).
    Returns:
        (R, M, M) in (0, 1); exactly 0.5 where the box leaves the padded input. BlendMask eqs. 3-5.
    """
    regions = crop_bases(bases, boxes_xyxy, images, config)
    return mask_logits(regions, attentions, config).sigmoid()


def crop_bases(bases: Tensor, boxes_xyxy: Tensor, images: Tensor, config: BlenderConfig) -> Tensor:
    """Return the bases in each box, (R, K, M, M); see `blend` for the arguments."""
    regions: Tensor = roi_align(
        bases,
        torch.cat([images.to(boxes_xyxy.dtype)[:, None], boxes_xyxy], dim=1),
        output_size=(config.mask_size, config.mask_size),
        spatial_scale=1 / BASES_STRIDE,
        sampling_ratio=config.sampling_ratio,
        aligned=config.aligned,
    )
    return regions


def mask_logits(regions: Tensor, attentions: Tensor, config: BlenderConfig) -> Tensor:
    """Return (R, M, M) logits: the bases of each box, (R, K, M, M), weighted by its attentions."""
    size = (config.mask_size, config.mask_size)
    if config.attention_interpolation == "bilinear":
        weights = F.interpolate(attentions, size, mode="bilinear", align_corners=False)
    else:
        weights = F.interpolate(attentions, size, mode="nearest")
    # (R, K, M, M) -> (R, M, M)
    return (regions * weights.softmax(dim=1)).sum(dim=1)
