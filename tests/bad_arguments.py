"""Arguments that the operations refuse, and the words they do it in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.operations import ops

_MASKS, _BOXES, _SCORES = torch.zeros(2, 4, 4), torch.zeros(2, 4), torch.zeros(2)
_LOGITS, _COUNTS, _OFFSETS = torch.zeros(3, 5, 6), torch.zeros(9).long(), torch.zeros(3).long()
_BASES, _IMAGES = torch.zeros(2, 4, 8, 8), torch.zeros(2).long()
_ATTENTIONS = torch.zeros(2, 4, 7, 7)


def call_door(name: str, values: tuple[Any, ...]) -> Any:
    """Call an operation as the rest of the model does."""
    if name == "blend":
        *tensors, mask_size, ratio, aligned, bilinear = values
        return ops.blend(
            *tensors, mask_size=mask_size, sampling_ratio=ratio, aligned=aligned, bilinear=bilinear
        )
    if name == "panoptic_merge":
        view, output, (threshold, score, overlap, area) = values[4:6], values[6:8], values[8:]
        return ops.panoptic_merge(
            *values[:4], resized_size=view, output_size=output, score_threshold=score,
            max_overlap=overlap, min_stuff_area=area, mask_threshold=threshold,
        )  # fmt: skip
    return getattr(ops, name)(*values)


def _paste(
    masks: Tensor = _MASKS, boxes: Tensor = _BOXES, size: tuple[int, int] = (5, 7), least: float = 1
) -> tuple[str, tuple[Any, ...]]:
    return "paste_rle", (masks, boxes, *size, least)


def _compress(counts: Tensor = _COUNTS, offsets: Tensor = _OFFSETS) -> tuple[str, tuple[Any, ...]]:
    return "compress_rle", (counts, offsets)


def _blend(
    bases: Tensor = _BASES,
    boxes: Tensor = _BOXES,
    images: Tensor = _IMAGES,
    attentions: Tensor = _ATTENTIONS,
    mask_size: int = 8,
) -> tuple[str, tuple[Any, ...]]:
    return "blend", (bases, boxes, images, attentions, mask_size, 1, True, True)


def _merge(
    masks: Tensor = _MASKS,
    boxes: Tensor = _BOXES,
    scores: Tensor = _SCORES,
    logits: Tensor = _LOGITS,
    view: tuple[int, int] = (20, 24),
    output: tuple[int, int] = (9, 9),
    least: float = 0.5,
) -> tuple[str, tuple[Any, ...]]:
    return "panoptic_merge", (masks, boxes, scores, logits, *view, *output, least, 0.3, 0.4, 1)


GOOD = [_paste(), _compress(), _blend(), _merge()]

# An operation with its arguments, and what is said of them.
BAD = [
    (*_paste(masks=_MASKS[:, 1:]), "probabilities must be (R, M, M), M 1 or more, not (2, 3, 4)"),
    (*_paste(masks=_SCORES), "probabilities must be (R, M, M), M 1 or more, not (2,)"),
    (*_paste(masks=_MASKS[:, :0, :0]),
     "probabilities must be (R, M, M), M 1 or more, not (2, 0, 0)"),
    (*_paste(boxes=_BOXES[1:]), "boxes must be (2, 4), not (1, 4)"),
    (*_paste(boxes=_SCORES), "boxes must be (2, 4), not (2,)"),
    (*_paste(size=(0, 7)), "a picture of 7×0 has no pixels"),
    (*_paste(least=0), "threshold is 0; it must be above 0 and at most 1"),
    (*_paste(least=1.5), "threshold is 1.5; it must be above 0 and at most 1"),
    (*_compress(counts=_COUNTS[None]), "counts must be (T,), not (1, 9)"),
    (*_compress(offsets=_OFFSETS[:0]), "offsets must be (R + 1,), not (0,)"),
    (*_compress(offsets=_OFFSETS[0]), "offsets must be (R + 1,), not ()"),
    (*_blend(bases=_BASES[:, :0]), "bases must be (N, K, H, W) and not empty, not (2, 0, 8, 8)"),
    (*_blend(bases=_BASES[0]), "bases must be (N, K, H, W) and not empty, not (4, 8, 8)"),
    (*_blend(boxes=_BOXES[:, :3]), "boxes must be (R, 4), not (2, 3)"),
    (*_blend(images=_IMAGES[:1]), "images must be (2,), not (1,)"),
    (*_blend(attentions=_ATTENTIONS[:, :3]),
     "attentions must be (2, 4, A, A), A 1 or more, not (2, 3, 7, 7)"),
    (*_blend(attentions=_ATTENTIONS[..., :6]),
     "attentions must be (2, 4, A, A), A 1 or more, not (2, 4, 7, 6)"),
    (*_blend(mask_size=0), "mask_size is 0; it must be 1 or more"),
    (*_merge(masks=_MASKS[:, 1:]), "probabilities must be (R, M, M), M 1 or more, not (2, 3, 4)"),
    (*_merge(boxes=_BOXES[1:]), "boxes must be (2, 4), not (1, 4)"),
    (*_merge(scores=_SCORES[1:]), "scores must be (2,), not (1,)"),
    (*_merge(logits=_LOGITS[:0]), "logits must be (1 to 256, h, w) and not empty, not (0, 5, 6)"),
    (*_merge(logits=_LOGITS[..., :0]),
     "logits must be (1 to 256, h, w) and not empty, not (3, 5, 0)"),
    (*_merge(logits=torch.zeros(257, 5, 6)),
     "logits must be (1 to 256, h, w) and not empty, not (257, 5, 6)"),
    (*_merge(view=(21, 24)), "a view of 24×21 is not within a canvas of 24×20"),
    (*_merge(output=(9, 0)), "a picture of 0×9 has no pixels"),
    (*_merge(least=-1), "threshold is -1; it must be above 0 and at most 1"),
]  # fmt: skip

# These the door converts; so only what stands behind it refuses them.
BAD_TYPES = [
    (*_paste(masks=_MASKS.double()), "probabilities must be float32"),
    (*_paste(boxes=_BOXES.half()), "boxes must be float32"),
    (*_compress(counts=_COUNTS.int()), "counts must be int64"),
    (*_compress(offsets=_OFFSETS.float()), "offsets must be int64"),
    (*_blend(bases=_BASES.half()), "bases must be float32 or float64"),
    (*_blend(boxes=_BOXES.double()), "boxes and attentions must be of the type of bases"),
    (*_blend(images=_IMAGES.int()), "images must be int64"),
    (*_merge(scores=_SCORES.double()), "scores must be float32"),
    (*_merge(logits=_LOGITS.double()), "logits must be float32"),
]
