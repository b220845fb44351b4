"""A path aggregation network (arXiv:1803.01534) whose paths have no weights of their own.

Level k has stride 2^k and is called pk. Lateral 1×1 convolutions alone hold weights; what comes
from the level above and from the level below is resized and added, as in NanoDet-g.
"""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import FPNConfig
from model.network.csp_net import CSPNet

_LEVELS = (3, 4, 5)


class PAN(nn.Module):
    """Lateral 1×1, top-down sum, then bottom-up sum; level 2, if asked, is the backbone's own."""

    def __init__(self, config: FPNConfig, *, finest_level: int) -> None:
        super().__init__()
        bottom_up = CSPNet()
        self.levels = tuple(range(finest_level, 6))
        self.out_channels = dict.fromkeys(_LEVELS, config.channels)
        if 2 in self.levels:
            self.out_channels[2] = bottom_up.out_channels[2]
        for level in _LEVELS:
            lateral = nn.Conv2d(bottom_up.out_channels[level], config.channels, 1)
            self.add_module(f"fpn_lateral{level}", lateral)
        self.bottom_up = bottom_up

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the pyramid {k: (N, C, H / 2^k, W / 2^k)}, finest level first."""
        features = self.bottom_up(pixels)
        l3, l4, l5 = (
            cast(Tensor, self.get_submodule(f"fpn_lateral{level}")(features[level]))
            for level in _LEVELS
        )
        m4 = l4 + _resized(l5, l4)
        p3 = l3 + _resized(m4, l3)
        p4 = m4 + _resized(p3, m4)
        p5 = l5 + _resized(p4, l5)
        pyramid = {3: p3, 4: p4, 5: p5}
        return {2: features[2], **pyramid} if 2 in self.levels else pyramid


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
