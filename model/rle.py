"""COCO run lengths: made from mask maps and boxes, so no mask of the whole picture ever is.

The bytes are those of `pycocotools.mask.encode` on the whole mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from model import ops
from model.run_lengths import compress as compress
from model.run_lengths import counts_of
from model.structures import RLE


@dataclass(frozen=True, kw_only=True)
class PastedMasks:
    """The masks of one picture's objects, on the CPU.

    masks: R run lengths of the whole picture. areas: (R,) int64, the pixels in each mask.
    boxes_xywh: (R, 4) int64, tight, whole pixels; zeros for an empty mask.
    """

    masks: list[RLE]
    areas: np.ndarray
    boxes_xywh: np.ndarray


def paste(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float = 0.5
) -> list[RLE]:
    """Return the run lengths of each object's mask in the picture.

    A pixel is the object's where its map, stretched over its box and read bilinearly at the
    pixel's centre (zero outside the map), is at least `threshold` (spec, section 7).

    Args:
        probabilities: (R, M, M) in 0..1.
        boxes_xyxy: (R, 4) in pixels of the picture; a box without area has an empty mask.
        height, width: size of the picture.
        threshold: above 0, at most 1.

    Raises:
        ValueError: shapes or the threshold don't fit.
    """
    return paste_measured(probabilities, boxes_xyxy, height, width, threshold).masks


def paste_measured(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float = 0.5
) -> PastedMasks:
    """Return the masks of `paste` with their areas and tight boxes."""
    counts, offsets, areas, boxes_xywh = ops.paste_rle(
        probabilities, boxes_xyxy, height, width, threshold
    )
    return PastedMasks(
        masks=strings(counts, offsets, height, width),
        areas=areas.cpu().numpy(),
        boxes_xywh=boxes_xywh.cpu().numpy(),
    )


def strings(counts: Tensor, offsets: Tensor, height: int, width: int) -> list[RLE]:
    """Return packed run lengths (see `ops.paste_rle`) of masks of a picture as COCO writes them."""
    text, text_offsets = ops.compress_rle(counts.cpu(), offsets.cpu())
    characters, bounds = text.numpy().tobytes(), text_offsets.tolist()
    return [
        RLE(size=[height, width], counts=characters[first:last]) for first, last in pairwise(bounds)
    ]


def encode_crop(crop: np.ndarray, top: int, left: int, height: int, width: int) -> RLE:
    """Return the run lengths of a picture that is empty but for a crop.

    Args:
        crop: (h, w) bool, within the picture.
        top, left: where its first pixel lies.
    """
    return RLE(size=[height, width], counts=compress(counts_of(crop, top, left, height, width)))
