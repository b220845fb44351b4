"""The feature pyramid (arXiv:1612.03144) over a backbone's outputs, with coarser levels on top.

Level k has stride 2^k and is called pk. Names follow the released checkpoints.
"""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import BackboneConfig, FPNConfig
from model.network.dla import DLA34
from model.network.mobilenet import MobileNetV2
from model.network.resnet import ResNet


def build_backbone(config: BackboneConfig) -> ResNet | DLA34 | MobileNetV2:
    """Return the backbone that the configuration names."""
    if config.kind == "resnet":
        return ResNet(config)
    if config.kind == "dla34":
        return DLA34(config)
    return MobileNetV2(config)


class TopBlock(nn.Module):
    """Levels p6 and, if asked, p7: strided convolutions over p5."""

    def __init__(self, channels: int, num_levels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if num_levels == 2 else None

    def forward(self, p5: Tensor) -> dict[int, Tensor]:
        """Return {6: p6} or {6: p6, 7: p7}; a level is half the size, rounded up."""
        p6 = self.p6(p5)
        return {6: p6} if self.p7 is None else {6: p6, 7: self.p7(p6.relu())}


class FPN(nn.Module):
    """Lateral 1×1, top-down sum, output 3×3 for each of the backbone's levels."""

    def __init__(self, config: FPNConfig, backbone: BackboneConfig, *, finest_level: int) -> None:
        super().__init__()
        self.levels = tuple(range(finest_level, 6))
        bottom_up = build_backbone(backbone)
        for level in self.levels:
            lateral = nn.Conv2d(bottom_up.out_channels[level], config.channels, 1)
            output = nn.Conv2d(config.channels, config.channels, 3, padding=1)
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", output)
        self.top_block = (
            TopBlock(config.channels, config.num_top_levels) if config.num_top_levels else None
        )
        self.bottom_up = bottom_up
        self.fuse_by_average = config.fuse == "avg"
        self.out_channels = dict.fromkeys(self.levels, config.channels)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the pyramid {k: (N, C, H / 2^k, W / 2^k)}, finest level first."""
        features = self.bottom_up(pixels)
        pyramid: dict[int, Tensor] = {}
        above: Tensor | None = None
        for level in reversed(self.levels):
            fused = cast(Tensor, self.get_submodule(f"fpn_lateral{level}")(features[level]))
            if above is not None:
                fused = fused + F.interpolate(above, scale_factor=2.0, mode="nearest")
                if self.fuse_by_average:
                    fused = fused / 2
            pyramid[level] = self.get_submodule(f"fpn_output{level}")(fused)
            above = fused
        pyramid = dict(sorted(pyramid.items()))
        if self.top_block is not None:
            pyramid.update(self.top_block(pyramid[5]))
        return pyramid
