"""Batch normalisation over the pictures of all processes, on any device.

PyTorch's `SyncBatchNorm` runs on accelerators only; this one is for the CPU, where it holds
the two-process arithmetic to that of one process.
"""
# N pictures of this process, C channels, H and W rows and columns of a feature map

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class _SumOverWorld(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class AllReduceBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of every process's pictures together."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> AllReduceBatchNorm:
        """Return one that shares the tensors of a plain batch normalisation."""
        new = cls(norm.num_features, norm.eps, norm.momentum)
        new.weight, new.bias = norm.weight, norm.bias
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        new.training = norm.training
        return new

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """Return the normalised features, (N, C, H, W); all processes call it, or none."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        here = torch.full((1,), x.numel() / x.shape[1], dtype=x.dtype, device=x.device)
        # Two passes, as one process does it: the squares of large means would drown the variance.
        totals = _SumOverWorld.apply(torch.cat([x.sum((0, 2, 3)), here]))
        count = totals[-1]
        mean = totals[:-1] / count
        centred = x - mean[:, None, None]
        variance = _SumOverWorld.apply(centred.square().sum((0, 2, 3))) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        normalised = centred * (variance + self.eps).rsqrt()[:, None, None]
        affine: Tensor = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return affine.to(input.dtype)

    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
