"""COCO run lengths: made from mask maps and boxes, so no mask of the whole picture ever is.

The bytes are those of `pycocotools.mask.encode` on the whole mask.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from model.masks.run_lengths import compress as compress
from model.masks.run_lengths import counts_of
from model.operations import ops
from model.operations.copies import fetch
from model.structures import RLE

# A mask of a photo has some 500 characters.
_CHARACTERS = 1024


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
    return paste_batch([(probabilities, boxes_xyxy, height, width)], threshold)[0]


def paste_batch(
    pictures: Sequence[tuple[Tensor, Tensor, int, int]], threshold: float = 0.5
) -> list[PastedMasks]:
    """Return each picture's masks; what a device has made of all of them comes in one copy.

    Args:
        pictures: probabilities, boxes, height and width, as for `paste`.
    """
    pasted = [ops.paste_rle(*picture, threshold) for picture in pictures]
    texts = [ops.compress_rle(counts, offsets) for counts, offsets, *_ in pasted]
    wanted: list[Tensor] = []
    for (_, offsets, areas, boxes_xywh), (text, text_offsets) in zip(pasted, texts, strict=True):
        wanted += [offsets, areas, boxes_xywh, text_offsets, head_of(text, len(areas))]
    fetched = iter(fetch(*wanted))
    results = []
    for picture, (counts, *_), (text, _) in zip(pictures, pasted, texts, strict=True):
        offsets, areas, boxes_xywh, text_offsets, head = itertools.islice(fetched, 5)
        if offsets[-1] > len(counts):  # there was no room on the device
            probabilities, boxes_xyxy, height, width = picture
            again = (probabilities.cpu(), boxes_xyxy.cpu(), height, width)
            results.append(paste_batch([again], threshold)[0])
            continue
        results.append(
            PastedMasks(
                masks=strings(text, head, text_offsets, *picture[2:]),
                areas=areas.numpy(),
                boxes_xywh=boxes_xywh.numpy(),
            )
        )
    return results


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


def encode_crop(crop: np.ndarray, top: int, left: int, height: int, width: int) -> RLE:
    """Return the run lengths of a picture that is empty but for a crop.

    Args:
        crop: (h, w) bool, within the picture.
        top, left: where its first pixel lies.
    """
    return RLE(size=[height, width], counts=compress(counts_of(crop, top, left, height, width)))
