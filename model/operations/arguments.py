"""Checks of what an operation is given, the same for its reference as for what is compiled.

Each compiled operation has the same checks, in the same words, in csrc/check_<operation>.h, for
those who call it past the door. Types are converted at the door; so they are checked there alone.
"""
# R instances, K bases, M mask side

from __future__ import annotations

from torch import Tensor

_MOST_LABELS = 256  # a label is a byte


def check_paste_rle(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> None:
    """Raise ValueError unless `ops.paste_rle` can take them."""
    _check_are_together("paste_rle", probabilities, boxes_xyxy)
    _check_masks("paste_rle", probabilities, boxes_xyxy, height, width, threshold)


def check_compress_rle(counts: Tensor, offsets: Tensor) -> None:
    """Raise ValueError unless `ops.compress_rle` can take them; values are not looked at."""
    _check_are_together("compress_rle", counts, offsets)
    if counts.ndim != 1:
        raise ValueError(f"compress_rle: counts must be (T,), not {_shape(counts)}")
    if offsets.ndim != 1 or offsets.shape[0] < 1:
        raise ValueError(f"compress_rle: offsets must be (R + 1,), not {_shape(offsets)}")


def check_blend(
    bases: Tensor, boxes_xyxy: Tensor, images: Tensor, attentions: Tensor, mask_size: int
) -> None:
    """Raise ValueError unless `ops.blend` can take them; values are not looked at."""
    _check_are_together("blend", bases, boxes_xyxy, images, attentions)
    if bases.ndim != 4 or min(bases.shape[1:]) < 1:
        raise ValueError(f"blend: bases must be (N, K, H, W) and not empty, not {_shape(bases)}")
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
        raise ValueError(f"blend: boxes must be (R, 4), not {_shape(boxes_xyxy)}")
    number, num_bases = boxes_xyxy.shape[0], bases.shape[1]
    if images.ndim != 1 or images.shape[0] != number:
        raise ValueError(f"blend: images must be ({number},), not {_shape(images)}")
    if (
        attentions.ndim != 4
        or attentions.shape[0] != number
        or attentions.shape[1] != num_bases
        or attentions.shape[2] < 1
        or attentions.shape[2] != attentions.shape[3]
    ):
        raise ValueError(
            f"blend: attentions must be ({number}, {num_bases}, A, A), A 1 or more, "
            f"not {_shape(attentions)}"
        )
    if mask_size < 1:
        raise ValueError(f"blend: mask_size is {mask_size}; it must be 1 or more")


def check_panoptic_merge(
    probabilities: Tensor,
    boxes_xyxy: Tensor,
    scores: Tensor,
    logits: Tensor,
    resized_size: tuple[int, int],
    output_size: tuple[int, int],
    threshold: float,
) -> None:
    """Raise ValueError unless `ops.panoptic_merge` can take them."""
    _check_are_together("panoptic_merge", probabilities, boxes_xyxy, scores, logits)
    _check_masks("panoptic_merge", probabilities, boxes_xyxy, *output_size, threshold)
    number = probabilities.shape[0]
    if scores.ndim != 1 or scores.shape[0] != number:
        raise ValueError(f"panoptic_merge: scores must be ({number},), not {_shape(scores)}")
    if logits.ndim != 3 or not 1 <= logits.shape[0] <= _MOST_LABELS or min(logits.shape[1:]) < 1:
        raise ValueError(
            f"panoptic_merge: logits must be (1 to {_MOST_LABELS}, h, w) and not empty, "
            f"not {_shape(logits)}"
        )
    height, width = resized_size
    canvas_height, canvas_width = 4 * logits.shape[1], 4 * logits.shape[2]
    if not (1 <= height <= canvas_height and 1 <= width <= canvas_width):
        raise ValueError(
            f"panoptic_merge: a view of {width}×{height} is not within a canvas of "
            f"{canvas_width}×{canvas_height}"
        )


def _check_are_together(operation: str, first: Tensor, *others: Tensor) -> None:
    if any(other.device != first.device for other in others):
        raise ValueError(f"{operation}: all tensors must be on the same device")


def _check_masks(
    operation: str,
    probabilities: Tensor,
    boxes_xyxy: Tensor,
    height: int,
    width: int,
    threshold: float,
) -> None:
    shape = probabilities.shape
    if probabilities.ndim != 3 or shape[1] != shape[2] or shape[1] < 1:
        raise ValueError(
            f"{operation}: probabilities must be (R, M, M), M 1 or more, "
            f"not {_shape(probabilities)}"
        )
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[0] != shape[0] or boxes_xyxy.shape[1] != 4:
        raise ValueError(f"{operation}: boxes must be ({shape[0]}, 4), not {_shape(boxes_xyxy)}")
    if height < 1 or width < 1:
        raise ValueError(f"{operation}: a picture of {width}×{height} has no pixels")
    if not 0 < threshold <= 1:
        raise ValueError(f"{operation}: threshold is {threshold}; it must be above 0 and at most 1")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
