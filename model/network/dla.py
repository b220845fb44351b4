"""DLA-34, deep layer aggregation (arXiv:1707.06484), in the released checkpoints' names.

Spec, section 3.3. Two-level trees carry an outer `project` whose value nothing uses. It is part
of every checkpoint, so it stands here; it is computed in training only, for its statistics.
"""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import BackboneConfig, BatchNormKind
from model.network.layers import batch_norm


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a residual that the caller gives."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, norm: BatchNormKind
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = batch_norm(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = batch_norm(norm, out_channels)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return (N, out_channels, H / stride, W / stride)."""
        out = self.bn1(self.conv1(x)).relu_()
        out = self.bn2(self.conv2(out))
        out += residual
        return F.relu_(out)


class Root(nn.Module):
    """Aggregates the children of a tree: concatenation and a 1×1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, norm: BatchNormKind) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = batch_norm(norm, out_channels)

    def forward(self, children: list[Tensor]) -> Tensor:
        """Return (N, out_channels, H, W) from maps of one size."""
        return F.relu_(self.bn(self.conv(torch.cat(children, dim=1))))


def _projection(in_channels: int, out_channels: int, norm: BatchNormKind) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False), batch_norm(norm, out_channels)
    )


class ShallowTree(nn.Module):
    """A tree of two blocks; its root sees them, and whatever the trees above hand down."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        inherited_channels: int,
        norm: BatchNormKind,
    ) -> None:
        super().__init__()
        self.tree1 = BasicBlock(in_channels, out_channels, stride, norm)
        self.tree2 = BasicBlock(out_channels, out_channels, 1, norm)
        self.root = Root(2 * out_channels + inherited_channels, out_channels, norm)
        self.project = (
            _projection(in_channels, out_channels, norm) if in_channels != out_channels else None
        )
        self.stride = stride

    def forward(self, x: Tensor, inherited: list[Tensor]) -> Tensor:
        """Return (N, out_channels, H / stride, W / stride)."""
        bottom = F.max_pool2d(x, self.stride) if self.stride > 1 else x
        residual = bottom if self.project is None else self.project(bottom)
        x1 = self.tree1(x, residual)
        x2 = self.tree2(x1, x1)
        out: Tensor = self.root([x2, x1, *inherited])
        return out


class LeafTree(ShallowTree):
    """A shallow tree at the end of the network; its root sees its own input too if asked."""

    def __init__(
        self, in_channels: int, out_channels: int, *, level_root: bool, norm: BatchNormKind
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            stride=2,
            inherited_channels=in_channels if level_root else 0,
            norm=norm,
        )
        self.level_root = level_root

    def forward(self, x: Tensor, inherited: list[Tensor] | None = None) -> Tensor:
        """Return (N, out_channels, H / 2, W / 2)."""
        bottom = [F.max_pool2d(x, 2)] if self.level_root else []
        return super().forward(x, bottom)


class DeepTree(nn.Module):
    """Two shallow trees; the second's root also sees the input and the first one's output."""

    def __init__(self, in_channels: int, out_channels: int, norm: BatchNormKind) -> None:
        super().__init__()
        self.tree1 = ShallowTree(
            in_channels, out_channels, stride=2, inherited_channels=0, norm=norm
        )
        self.tree2 = ShallowTree(
            out_channels,
            out_channels,
            stride=1,
            inherited_channels=in_channels + out_channels,
            norm=norm,
        )
        self.project = _projection(in_channels, out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H / 2, W / 2)."""
        bottom = F.max_pool2d(x, 2)
        x1 = self.tree1(x, [])
        out: Tensor = self.tree2(x1, [bottom, x1])
        if self.training:
            out = out + self._nothing(bottom)
        return out

    def _nothing(self, bottom: Tensor) -> Tensor:
        """Return 0, with gradients of 0 for the projection, whose running statistics move on.

        So the original trains it: weight decay acts on it, and every process of distributed
        training has a gradient for every parameter.
        """
        with torch.no_grad():
            self.project(bottom)
        return 0 * torch.stack([p.sum() for p in self.project.parameters()]).sum()


class DLA34(nn.Module):
    """Levels 0 to 5 at strides 1 to 32, with 16 to 512 channels."""

    out_channels: ClassVar[dict[int, int]] = {2: 64, 3: 128, 4: 256, 5: 512}

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        norm = config.norm
        self.base_layer = self._conv(3, 16, 7, 1, norm)
        self.level0 = self._conv(16, 16, 3, 1, norm)
        self.level1 = self._conv(16, 32, 3, 2, norm)
        self.level2 = LeafTree(32, 64, level_root=False, norm=norm)
        self.level3 = DeepTree(64, 128, norm)
        self.level4 = DeepTree(128, 256, norm)
        self.level5 = LeafTree(256, 512, level_root=True, norm=norm)

    @staticmethod
    def _conv(
        in_channels: int, out_channels: int, kernel: int, stride: int, norm: BatchNormKind
    ) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(
                in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
            ),
            batch_norm(norm, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the outputs by level: {k: (N, C, H / 2^k, W / 2^k)} for k = 2 to 5."""
        x = self.level1(self.level0(self.base_layer(pixels)))
        c2 = self.level2(x)
        c3 = self.level3(c2)
        c4 = self.level4(c3)
        c5 = self.level5(c4)
        return {2: c2, 3: c3, 4: c4, 5: c5}
