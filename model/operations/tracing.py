"""What tracing and differentiation need to know of the operations: fakes, and a backward pass.

A fake returns empty tensors of the right shapes; sizes that depend on values are unknown.
"""
# R instances, M mask side

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from model.operations import reference


def paste_rle(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return tensors of the shapes and types that `ops.paste_rle` gives."""
    number = probabilities.shape[0]
    new = functools.partial(probabilities.new_empty, dtype=torch.int64)
    return new(_unknown_size()), new(number + 1), new(number), new((number, 4))


def compress_rle(counts: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return tensors of the shapes and types that `ops.compress_rle` gives."""
    return counts.new_empty(_unknown_size(), dtype=torch.uint8), torch.empty_like(offsets)


def panoptic_merge(
    probabilities: Tensor, boxes_xyxy: Tensor, scores: Tensor, logits: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return tensors of the shapes and types that `ops.panoptic_merge` gives."""
    height, width = rest[2:4]
    number = _unknown_size()
    new = functools.partial(logits.new_empty, dtype=torch.int64)
    ids = logits.new_empty((height, width), dtype=torch.int32)
    return ids, new(number), new(number), new((number, 4)), new(_unknown_size()), new(number + 1)


def blend(
    bases: Tensor, boxes_xyxy: Tensor, images: Tensor, attentions: Tensor, mask_size: int, *_: Any
) -> Tensor:
    """Return a tensor of the shape and type that `ops.blend` gives."""
    return bases.new_empty(boxes_xyxy.shape[0], mask_size, mask_size)


def keep_for_blend(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep what `blend_backward` needs: the arguments and nothing else."""
    ctx.save_for_backward(*inputs[:4])
    ctx.rest = inputs[4:]


def blend_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients of the operation's arguments, through the reference computed again."""
    bases, boxes_xyxy, images, attentions = ctx.saved_tensors
    with torch.enable_grad():
        wanted = [bases.detach().requires_grad_(), attentions.detach().requires_grad_()]
        again = reference.blend(wanted[0], boxes_xyxy, images, wanted[1], *ctx.rest)
    bases_gradient, attentions_gradient = torch.autograd.grad(again, wanted, gradient)
    return (bases_gradient, None, None, attentions_gradient, *(None for _ in ctx.rest))


def _unknown_size() -> Any:
    return torch.library.get_ctx().new_dynamic_size()
