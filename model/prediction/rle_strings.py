"""COCO's strings of a picture's masks, brought from the device that wrote them."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from model.structures import RLE

# A mask of a photo has some 500 characters.
_CHARACTERS = 1024


def head_of(text: Tensor, num_masks: int) -> Tensor:
    """Return the part of a device's characters that is copied unseen: nearly always all."""
    return text[: _CHARACTERS * num_masks]


def strings(text: Tensor, head: Tensor, text_offsets: Tensor, height: int, width: int) -> list[RLE]:
    """Return the run lengths of masks of a picture from their characters.

    Args:
        text, text_offsets: as `ops.compress_rle` returns them, the offsets on the CPU.
        head: the first of the characters, on the CPU.
    """
    bounds = text_offsets.tolist()
    if bounds[-1] > len(head):
        head = text[: bounds[-1]].cpu()
    characters = head.numpy().tobytes()
    return [
        RLE(size=[height, width], counts=characters[first:last]) for first, last in pairwise(bounds)
    ]
