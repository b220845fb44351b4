"""ResNet-50 and ResNet-101 (arXiv:1512.03385), with modulated deformable convolutions if asked.

Names and arithmetic follow the released checkpoints (spec, sections 3.1 and 3.2): the stride
of a stage sits in the first 1×1 convolution, and no convolution has a bias.
"""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from model.config import BackboneConfig
from model.network.layers import NormedConv, batch_norm

_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_NUM_TAPS = 9  # of a 3×3 kernel


class DeformableConv(nn.Module):
    """A modulated deformable 3×3 convolution without bias, then `norm` (arXiv:1811.11168)."""

    def __init__(self, channels: int, *, norm: nn.Module, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.norm = norm
        self.stride = stride

    def forward(self, x: Tensor, offset_and_mask: Tensor) -> Tensor:
        """Sample x where the offsets say.

        Args:
            x: (N, C, H, W).
            offset_and_mask: (N, 27, H', W'): first 18 channels (dy, dx) for each tap in row-major
                order, then 9 modulation logits.
        """
        offset, mask = offset_and_mask[:, : 2 * _NUM_TAPS], offset_and_mask[:, 2 * _NUM_TAPS :]
        sampled = deform_conv2d(
            x, offset, self.weight, stride=self.stride, padding=1, mask=mask.sigmoid()
        )
        return cast(Tensor, self.norm(sampled))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and a shortcut; the 3×3 is deformable if asked."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        stride: int,
        deformable: bool,
        config: BackboneConfig,
    ) -> None:
        super().__init__()
        stride_1x1, stride_3x3 = (stride, 1) if config.stride_in_1x1 else (1, stride)
        norm = config.norm
        self.conv1 = NormedConv(
            in_channels, width, 1, stride=stride_1x1, norm=batch_norm(norm, width), relu=True
        )
        self.conv2_offset: nn.Conv2d | None = None
        self.conv2: DeformableConv | NormedConv
        if deformable:
            self.conv2_offset = nn.Conv2d(width, 3 * _NUM_TAPS, 3, stride=stride_3x3, padding=1)
            nn.init.zeros_(self.conv2_offset.weight)
            nn.init.zeros_(cast(Tensor, self.conv2_offset.bias))
            self.conv2 = DeformableConv(width, stride=stride_3x3, norm=batch_norm(norm, width))
        else:
            self.conv2 = NormedConv(
                width, width, 3, stride=stride_3x3, norm=batch_norm(norm, width)
            )
        self.conv3 = NormedConv(width, out_channels, 1, norm=batch_norm(norm, out_channels))
        self.shortcut: NormedConv | None = None
        if in_channels != out_channels:
            self.shortcut = NormedConv(
                in_channels, out_channels, 1, stride=stride, norm=batch_norm(norm, out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H', W'), H' = ceil(H / stride)."""
        out: Tensor = self.conv1(x)
        if self.conv2_offset is not None:
            out = self.conv2(out, self.conv2_offset(out))
        else:
            out = self.conv2(out)
        out = self.conv3(out.relu_())
        out += x if self.shortcut is None else self.shortcut(x)
        return out.relu_()


class Stem(nn.Module):
    """7×7 convolution and max pooling: a quarter of the picture's size."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.conv1 = NormedConv(3, 64, 7, stride=2, norm=batch_norm(config.norm, 64), relu=True)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 64, H/4, W/4)."""
        return cast(Tensor, self.pool(self.conv1(pixels)))


class ResNet(nn.Module):
    """Stages res2 to res5, at strides 4 to 32 with 256 to 2048 channels."""

    out_channels: ClassVar[dict[int, int]] = {2: 256, 3: 512, 4: 1024, 5: 2048}

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.stem = Stem(config)
        channels = 64
        for level, num_blocks in zip((2, 3, 4, 5), _BLOCKS[config.depth], strict=True):
            blocks = []
            for index in range(num_blocks):
                interval = config.deformable_interval if level > 2 else None
                blocks.append(
                    Bottleneck(
                        channels,
                        self.out_channels[level] // 4,
                        self.out_channels[level],
                        stride=2 if level > 2 and index == 0 else 1,
                        deformable=interval is not None and index % interval == 0,
                        config=config,
                    )
                )
                channels = self.out_channels[level]
            self.add_module(f"res{level}", nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the stages' outputs by level: {k: (N, C, H / 2^k, W / 2^k)} for k = 2 to 5."""
        x = self.stem(pixels)
        outputs: dict[int, Tensor] = {}
        for level in (2, 3, 4, 5):
            x = self.get_submodule(f"res{level}")(x)
            outputs[level] = x
        return outputs
