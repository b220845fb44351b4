"""Where operations run, and how what they return comes back from there.

The kernels for CUDA devices have been compiled, and emulated on a CPU, but not run on a GPU yet.
So before its first use in a process each is held to the CPU's operation on a small case; one
that fails is not used. Once tests/model/operations/test_ops_cuda.py has passed on a GPU,
`_agrees`, `_CASES` and what only they need are to be deleted.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from model.operations.copies import fetch

logger = logging.getLogger(__name__)


def is_compiled(operation: str, device: torch.device | str) -> bool:
    """Say whether an operation of that name has a compiled implementation for the device."""
    key = torch.device(device).type.upper()
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"blendmask::{operation}", key)


def is_usable(operation: str, device: torch.device) -> bool:
    """Say whether the device has an implementation of its own that may be used."""
    if device.type == "cpu" or torch.compiler.is_compiling():
        return True  # a traced program holds the operation, whatever implements it then
    if not is_compiled(operation, device):
        say_once(device.type)
        return False
    return _agrees(operation, device)


@functools.cache
def say_once(device: str) -> None:
    """Log that operations are not compiled for the device, the first time."""
    logger.warning(
        "Operations are not compiled for this device; slower ones are used",
        extra={"device": device},
    )


def placed(operation: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors, by one copy on the CPU if their device can't run the operation."""
    if not tensors or is_usable(operation, tensors[0].device):
        return tensors
    return fetch(*tensors)


@functools.cache
def _agrees(operation: str, device: torch.device) -> bool:
    """Say whether the device's implementation returns on a small case what the CPU's does.

    Raises:
        RuntimeError: the device has no memory left, or has failed. That says nothing of the kernel,
            so it is not remembered either, and the kernel is asked again another time.
    """
    run = getattr(torch.ops.blendmask, operation)
    try:
        with torch.inference_mode():
            arguments, used = _CASES[operation]()
            there = [one.to(device) if isinstance(one, Tensor) else one for one in arguments]
            ours, expected = used(run(*there)), used(run(*arguments))
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (RuntimeError, AssertionError) as error:
        # Out of an operation, everything comes as a plain RuntimeError.
        if "out of memory" in str(error).lower():
            raise
        _touch(device)
        logger.warning(
            "A kernel does not return what the CPU's operation does; it is not used",
            extra={"operation": operation, "device": str(device), "reason": str(error)},
        )
        return False
    return True


def _touch(device: torch.device) -> None:
    """Return if the device still works. Raises torch.AcceleratorError if it has failed for good."""
    torch.zeros(1, device=device).cpu()


Case = tuple[tuple[Any, ...], Callable[[Any], list[Tensor]]]


def _masks() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4, 3, 3, generator=generator).repeat_interleave(5, 1).repeat_interleave(5, 2)
    boxes = [[3.0, 4.0, 40.0, 33.0], [-9.5, -7.0, 90.0, 70.0], [20.2, 1.0, 21.0, 30.0], [5.0] * 4]
    return maps, torch.tensor(boxes)


def _paste_case() -> Case:
    def used(result: Any) -> list[Tensor]:
        counts, offsets, areas, boxes = fetch(*result)
        return [counts[: int(offsets[-1])], offsets, areas, boxes]

    return (*_masks(), 37, 61, 0.5), used


def _compress_case() -> Case:
    def used(result: Any) -> list[Tensor]:
        text, offsets = fetch(*result)
        return [text[: int(offsets[-1])], offsets]

    counts = torch.arange(40) ** 3 % 977 * 1000
    return (counts, torch.tensor([0, 7, 7, 25, 40])), used


def _blend_case() -> Case:
    generator = torch.Generator().manual_seed(0)
    bases = torch.rand(2, 4, 16, 20, generator=generator) * 6 - 3
    attentions = torch.rand(4, 4, 14, 14, generator=generator) * 6 - 3
    images = torch.tensor([0, 1, 1, 0])
    return (bases, _masks()[1], images, attentions, 28, 1, True, True), lambda one: [one.cpu()]


def _panoptic_case() -> Case:
    def used(result: Any) -> list[Tensor]:
        ids, sources, areas, boxes, counts, offsets = fetch(*result)
        number = num_segments(sources)
        counts = counts[: int(offsets[number])]
        return [ids, sources[:number], areas[:number], boxes[:number], counts]

    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    logits = torch.rand(5, 10, 16, generator=torch.Generator().manual_seed(0)).cumsum(1)
    return (*_masks(), scores, logits, 37, 61, 37, 61, 0.5, 0.5, 0.4, 30), used


def num_segments(sources: Tensor) -> int:
    """Return how many segments `ops.panoptic_merge` found; the rest of its tensors is spare."""
    return int((sources != torch.iinfo(torch.int64).min).sum())


_CASES: dict[str, Callable[[], Case]] = {
    "paste_rle": _paste_case,
    "compress_rle": _compress_case,
    "blend": _blend_case,
    "panoptic_merge": _panoptic_case,
}
