"""The basis module: bases for the whole picture from p3, p4 and p5 (BlendMask, section 3.2).

Spec, section 5; names follow the released checkpoints.
"""
# N images, C channels, K bases, H and W rows and columns of the input picture

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import BasisConfig
from model.network.layers import conv_bn_relu

_LEVELS = (3, 4, 5)


class BasisModule(nn.Module):
    """Refines three levels, sums them at p3's size and predicts the bases at twice that."""

    def __init__(self, config: BasisConfig, in_channels: int) -> None:
        super().__init__()
        channels, norm = config.channels, config.norm
        self.refine = nn.ModuleList(conv_bn_relu(in_channels, channels, norm) for _ in _LEVELS)
        self.tower = nn.Sequential(
            *(conv_bn_relu(channels, channels, norm) for _ in range(config.num_convs)),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            conv_bn_relu(channels, channels, norm),
            nn.Conv2d(channels, config.num_bases, 1),
        )
        # Training only: what is where, from p3; its batch normalisations are never synchronised.
        self.seg_head = (
            nn.Sequential(
                *conv_bn_relu(in_channels, channels, "bn"),
                *conv_bn_relu(channels, channels, "bn"),
                nn.Conv2d(channels, config.auxiliary_classes + 1, 1),
            )
            if config.auxiliary_classes is not None
            else None
        )

    def forward(self, pyramid: dict[int, Tensor]) -> Tensor:
        """Return the bases, (N, K, H/4, W/4), linear."""
        p3, p4, p5 = (
            refine(pyramid[level]) for refine, level in zip(self.refine, _LEVELS, strict=True)
        )
        size = p3.shape[-2:]
        fused = p3 + F.interpolate(p4, size, mode="bilinear", align_corners=False)
        fused = fused + F.interpolate(p5, size, mode="bilinear", align_corners=False)
        return cast(Tensor, self.tower(fused))
