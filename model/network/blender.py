"""The blender: bases and attentions make a mask in each box (BlendMask, section 3.3)."""
# N images, R boxes, K bases, A attention side, M mask side

from __future__ import annotations

from torch import Tensor

from model.config import BlenderConfig
from model.operations import ops, reference


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
    return ops.blend(
        bases,
        boxes_xyxy,
        images,
        attentions,
        mask_size=config.mask_size,
        sampling_ratio=config.sampling_ratio,
        aligned=config.aligned,
        bilinear=config.attention_interpolation == "bilinear",
    )


def crop_bases(bases: Tensor, boxes_xyxy: Tensor, images: Tensor, config: BlenderConfig) -> Tensor:
    """Return the bases in each box, (R, K, M, M); see `blend` for the arguments."""
    return reference.crop_bases(
        bases, boxes_xyxy, images, config.mask_size, config.sampling_ratio, config.aligned
    )


def mask_logits(regions: Tensor, attentions: Tensor, config: BlenderConfig) -> Tensor:
    """Return (R, M, M) logits: the bases of each box, (R, K, M, M), weighted by its attentions."""
    return reference.mask_logits(regions, attentions, config.attention_interpolation == "bilinear")
