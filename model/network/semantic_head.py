"""The semantic head of Panoptic FPN (arXiv:1901.02446): a label for every pixel.

Spec, section 8; names follow the released checkpoints.
"""
# N images, C channels, S semantic labels, H and W rows and columns of the input picture

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from model.config import SemanticConfig
from model.network.layers import NormedConv, group_norm

_LEVELS = (2, 3, 4, 5)


class SemanticHead(nn.Module):
    """Brings p2 to p5 to stride 4, sums them and predicts S logits."""

    def __init__(self, config: SemanticConfig, in_channels: Mapping[int, int]) -> None:
        super().__init__()
        for level in _LEVELS:
            branch = self._branch(level, in_channels[level], config.channels)
            self.add_module(f"p{level}", branch)
        self.predictor = nn.Conv2d(config.channels, config.num_classes, 1)

    @staticmethod
    def _branch(level: int, in_channels: int, channels: int) -> nn.Sequential:
        num_doublings = level - 2
        layers: list[nn.Module] = []
        for index in range(max(1, num_doublings)):
            layers.append(
                NormedConv(
                    channels if index else in_channels,
                    channels,
                    3,
                    norm=group_norm(channels),
                    relu=True,
                )
            )
            if num_doublings:
                layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        return nn.Sequential(*layers)

    def forward(self, pyramid: dict[int, Tensor]) -> Tensor:
        """Return the logits, (N, S, H/4, W/4)."""
        p2, p3, p4, p5 = (self.get_submodule(f"p{k}")(pyramid[k]) for k in _LEVELS)
        return cast(Tensor, self.predictor(p2 + p3 + p4 + p5))
