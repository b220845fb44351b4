"""The only door to compiled operations.

Each operation is registered with torch once, with its plain reference (`reference.py`) as the
implementation for every device, and a fake one for tracing. The libraries that setup.py makes
of csrc/ bring faster implementations for their device; which one runs is the dispatcher's
business. Without them the same results come slower, and the log says so once: on a device that
has no compiled operation, the CPU's is used, and what it returns stays on the CPU.

On a CUDA device nothing waits for the results, so their size is not known here. There run
lengths and segments come in tensors with room to spare: `offsets[-1]` says how much of the
others is used, and where that is more than there is, there was no room, and the CPU is to be
asked again. `model.prediction.paste` and `model.prediction.panoptic` do so.
"""
# N images, R instances, K bases, A attention side, M mask side, T run lengths of all instances

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.operations import panoptic_reference, reference, tracing
from model.operations.arguments import (
    check_blend,
    check_compress_rle,
    check_panoptic_merge,
    check_paste_rle,
)
from model.operations.devices import is_compiled as is_compiled
from model.operations.devices import is_usable, placed, say_once

logger = logging.getLogger(__name__)

# Kept alive: the registrations live as long as this object.
_LIBRARY = torch.library.Library("blendmask", "DEF")  # type: ignore[no-untyped-call]


def paste_rle(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float = 0.5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the run lengths of each object's mask; `model.prediction.paste` has the rule.

    Args:
        probabilities: (R, M, M).
        boxes_xyxy: (R, 4) in pixels of the picture; a box without area has an empty mask.
    Returns:
        counts (T,) of all instances one after the other, each mask read column by column,
        background first; offsets (R + 1,) of each instance's counts; areas (R,) in pixels;
        and the tight boxes (R, 4) as x, y, width, height, zeros for an empty mask. All int64.

    Raises:
        ValueError: shapes, size or threshold don't fit.
    """
    check_paste_rle(probabilities, boxes_xyxy, height, width, threshold)
    given = placed("paste_rle", probabilities.detach().float(), boxes_xyxy.detach().float())
    packed: tuple[Tensor, Tensor, Tensor, Tensor]
    packed = torch.ops.blendmask.paste_rle(*given, height, width, threshold)
    return packed


def compress_rle(counts: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strings that COCO writes run lengths as, one after the other.

    Args:
        counts, offsets: (T,) and (R + 1,) int64, as `paste_rle` returns them.
    Returns:
        the characters (B,) uint8, and the offsets (R + 1,) int64 of each mask's.

    Raises:
        ValueError: shapes don't fit.
    """
    check_compress_rle(counts, offsets)
    texts: tuple[Tensor, Tensor]
    texts = torch.ops.blendmask.compress_rle(*placed("compress_rle", counts, offsets))
    return texts


def blend(
    bases: Tensor,
    boxes_xyxy: Tensor,
    images: Tensor,
    attentions: Tensor,
    *,
    mask_size: int,
    sampling_ratio: int = 1,
    aligned: bool = True,
    bilinear: bool = True,
) -> Tensor:
    """Return the probability of each box's object on an M × M grid over the box.

    ROIAlign of the bases, attentions enlarged to the grid, softmax over bases, weighted sum,
    sigmoid. Differentiable in bases and attentions: the backward pass computes the reference
    again, so nothing but the arguments is kept for it.

    Args:
        bases: (N, K, H/4, W/4) float.
        boxes_xyxy: (R, 4) in pixels of the network input.
        images: (R,) int64, which picture each box is in.
        attentions: (R, K, A, A).
        mask_size: M.
        sampling_ratio, aligned: ROIAlign's.
        bilinear: how attentions are enlarged; otherwise by the nearest.
    Returns:
        (R, M, M) in (0, 1); exactly 0.5 where the box leaves the padded input.

    Raises:
        ValueError: shapes or the mask's size don't fit.
    """
    check_blend(bases, boxes_xyxy, images, attentions, mask_size)
    arguments = (bases, boxes_xyxy.to(bases.dtype), images, attentions.to(bases.dtype))
    rest = (mask_size, sampling_ratio, aligned, bilinear)
    # An adaptive number of samples, and the narrow types, are the reference's alone; it does
    # well on any device, too.
    compiled = sampling_ratio >= 1 and bases.dtype in (torch.float32, torch.float64)
    if not compiled or not is_usable("blend", bases.device):
        return reference.blend(*arguments, *rest)
    blended: Tensor = torch.ops.blendmask.blend(*arguments, *rest)
    return blended


def panoptic_merge(
    probabilities: Tensor,
    boxes_xyxy: Tensor,
    scores: Tensor,
    logits: Tensor,
    *,
    resized_size: tuple[int, int],
    output_size: tuple[int, int],
    score_threshold: float,
    max_overlap: float,
    min_stuff_area: int,
    mask_threshold: float = 0.5,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return a picture's panoptic partition; `model.prediction.panoptic.merge` has the rule.

    Args:
        probabilities, boxes_xyxy: (R, M, M) and (R, 4), as for `paste_rle`.
        scores: (R,), best first.
        logits: (S, H/4, W/4) of the padded input.
        resized_size, output_size: (height, width) of the network's view and of the picture.
    Returns:
        segment ids (height, width) int32 from 1, 0 for void; and for each segment, all int64:
        its source (an instance's number, or minus the label of stuff), its area, its tight box
        as x, y, width, height; and counts and offsets as `paste_rle` returns them.

    Raises:
        ValueError: shapes, sizes or threshold don't fit.
    """
    check_panoptic_merge(
        probabilities, boxes_xyxy, scores, logits, resized_size, output_size, mask_threshold
    )
    tensors = [each.detach().float() for each in (probabilities, boxes_xyxy, scores, logits)]
    merged: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
    merged = torch.ops.blendmask.panoptic_merge(
        *placed("panoptic_merge", *tensors),
        *resized_size,
        *output_size,
        mask_threshold,
        score_threshold,
        max_overlap,
        min_stuff_area,
    )
    return merged


def _define(schema: str, plain: Callable[..., Any], fake: Callable[..., Any]) -> None:
    """Register an operation with its reference for all devices."""
    name = schema.partition("(")[0]
    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, _falling_back_on(plain), "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"blendmask::{name}", fake, lib=_LIBRARY)


def _falling_back_on(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def fall_back(*arguments: Any) -> Any:
        say_once(arguments[0].device.type)
        return plain(*arguments)

    return fall_back


def _load() -> None:
    """Load the compiled operations that were built and that this torch can use."""
    names = ["_ops_cpu"] + (["_ops_cuda"] if torch.version.cuda else [])
    for name in names:
        for path in Path(__file__).parent.glob(f"{name}.*so"):
            try:
                torch.ops.load_library(path)  # type: ignore[no-untyped-call]
            except OSError as error:
                logger.warning(
                    "Compiled operations cannot be loaded; the references are used",
                    extra={"path": str(path), "reason": str(error)},
                )


_define(
    "paste_rle(Tensor probabilities, Tensor boxes_xyxy, int height, int width, float threshold)"
    " -> (Tensor counts, Tensor offsets, Tensor areas, Tensor boxes_xywh)",
    reference.paste_rle,
    tracing.paste_rle,
)
_define(
    "compress_rle(Tensor counts, Tensor offsets) -> (Tensor text, Tensor text_offsets)",
    reference.compress_rle,
    tracing.compress_rle,
)
_define(
    "blend(Tensor bases, Tensor boxes_xyxy, Tensor images, Tensor attentions, int mask_size,"
    " int sampling_ratio, bool aligned, bool bilinear) -> Tensor",
    reference.blend,
    tracing.blend,
)
_define(
    "panoptic_merge(Tensor probabilities, Tensor boxes_xyxy, Tensor scores, Tensor logits,"
    " int resized_height, int resized_width, int height, int width, float mask_threshold,"
    " float score_threshold, float max_overlap, int min_stuff_area) -> (Tensor segment_ids,"
    " Tensor sources, Tensor areas, Tensor boxes_xywh, Tensor counts, Tensor offsets)",
    panoptic_reference.panoptic_merge,
    tracing.panoptic_merge,
)
torch.library.register_autograd(
    "blendmask::blend",
    tracing.blend_backward,
    setup_context=tracing.keep_for_blend,
    lib=_LIBRARY,
)
# On import, under its lock: once, before anything is traced, whatever thread comes first.
_load()
