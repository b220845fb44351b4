"""Tensors of a device, brought to the CPU as one copy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def fetch(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors on the CPU; those of a device travel together, as one copy."""
    away = [tensor for tensor in tensors if tensor.device.type != "cpu"]
    if not away:
        return tensors
    arrived = iter(unpack(pack(away).cpu(), away))
    return tuple(one if one.device.type == "cpu" else next(arrived) for one in tensors)


def fetch_groups(groups: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Return groups of tensors on the CPU; those of a device travel together, as one copy."""
    fetched = fetch(*(tensor for group in groups for tensor in group))
    ends = list(itertools.accumulate((len(group) for group in groups), initial=0))
    return [fetched[first:last] for first, last in itertools.pairwise(ends)]


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """Return the bytes of tensors of one device, the widest types first: (B,) uint8."""
    # So each part begins at a multiple of its own width.
    ordered = sorted(tensors, key=_width, reverse=True)
    return torch.cat([one.contiguous().view(-1).view(torch.uint8) for one in ordered])


def unpack(packed: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the tensors that `pack` was given, from its bytes; their shapes from their like."""
    order = sorted(range(len(like)), key=lambda i: _width(like[i]), reverse=True)
    parts = torch.split(packed, [like[i].numel() * _width(like[i]) for i in order])
    found = list(like)
    for i, part in zip(order, parts, strict=True):
        found[i] = part.view(like[i].dtype).view(like[i].shape)
    return tuple(found)


def _width(tensor: Tensor) -> int:
    return tensor.element_size()
