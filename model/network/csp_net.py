"""A small cross-stage-partial network of plain 3×3 convolutions: a backbone for CPUs.

Each stage keeps its own input beside what it made of it (CSPNet, arXiv:1911.11929); there is no
normalisation, whose factors are folded into the convolutions. So NanoDet-g's trunk is built,
whose weights `scripts/nanodet_weights.py` brings into these names.
"""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAK = 0.1


class LeakyConv(nn.Conv2d):
    """A 3×3 convolution with bias, and what a leaky ReLU leaves of it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """Return (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return F.leaky_relu(super().forward(input), _LEAK)


class ConvPair(nn.Module):
    """Two convolutions in a row, the outputs of both side by side, the second one's first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = LeakyConv(channels, channels // 2)
        self.conv2 = LeakyConv(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        first = self.conv1(x)
        return torch.cat((self.conv2(first), first), dim=1)


class CSPStage(nn.Module):
    """A strided convolution, then what pairs of convolutions make of it beside itself."""

    def __init__(self, in_channels: int, channels: int, num_pairs: int, stride: int) -> None:
        super().__init__()
        self.down = LeakyConv(in_channels, channels, stride)
        self.pairs = nn.Sequential(*(ConvPair(channels) for _ in range(num_pairs)))
        self.out = LeakyConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 2 * channels, H / stride, W / stride)."""
        kept = self.down(x)
        return torch.cat((self.out(self.pairs(kept)), kept), dim=1)


class CSPNet(nn.Module):
    """Levels 2 to 5 at strides 4 to 32, with 64 to 512 channels."""

    out_channels: ClassVar[dict[int, int]] = {2: 64, 3: 128, 4: 256, 5: 512}

    def __init__(self) -> None:
        super().__init__()
        self.entry = LeakyConv(3, 32, stride=2)
        self.stage2 = CSPStage(32, 32, num_pairs=1, stride=1)
        self.stage3 = CSPStage(64, 64, num_pairs=2, stride=2)
        self.stage4 = CSPStage(128, 128, num_pairs=2, stride=2)
        self.stage5 = CSPStage(256, 256, num_pairs=3, stride=2)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the outputs by level: {k: (N, C, H / 2^k, W / 2^k)} for k = 2 to 5."""
        c2 = self.stage2(F.max_pool2d(self.entry(pixels), 3, stride=2, padding=1))
        c3 = self.stage3(c2)
        c4 = self.stage4(c3)
        c5 = self.stage5(c4)
        return {2: c2, 3: c3, 4: c4, 5: c5}
