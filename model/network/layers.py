"""The small layers that several parts share: normalised convolutions, in the checkpoints' names."""
# N images, C channels, H and W rows and columns of a feature map

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import BatchNormKind

BATCH_NORM_EPSILON = 1e-5


class FrozenBatchNorm(nn.Module):
    """Batch normalisation whose statistics and affine values are constants."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels) - BATCH_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised features, (N, C, H, W)."""
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            eps=BATCH_NORM_EPSILON,
        )


def batch_norm(kind: BatchNormKind, channels: int) -> nn.Module:
    """Return that kind of batch normalisation.

    "sync_bn" is built as plain batch normalisation: in one process they are the same, and
    distributed training converts it.
    """
    return FrozenBatchNorm(channels) if kind == "frozen_bn" else nn.BatchNorm2d(channels)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return group normalisation with the 32 groups that every head uses."""
    return nn.GroupNorm(32, channels)


class NormedConv(nn.Conv2d):
    """A convolution without bias whose child `norm` follows it, and a ReLU if asked."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: nn.Module,
        stride: int = 1,
        relu: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        )
        self.norm = norm
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """Return (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        x = cast(Tensor, self.norm(super().forward(input)))
        return x.relu_() if self.relu else x


def conv_bn_relu(in_channels: int, out_channels: int, norm: BatchNormKind) -> nn.Sequential:
    """Return 3×3 convolution without bias, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        batch_norm(norm, out_channels),
        nn.ReLU(inplace=True),
    )
