"""Masks of pictures, made from maps and boxes, so no mask of the whole picture ever is.

They are COCO run lengths; the bytes are those of `pycocotools.mask.encode` on the whole mask.
"""
# R instances, M mask side

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.operations import ops
from model.operations.copies import fetch_groups
from model.prediction.rle_strings import head_of, strings
from model.structures import RLE


@dataclass(frozen=True, kw_only=True)
class BoxedMaps:
    """What the masks of one picture's objects are made of.

    probabilities: (R, M, M) in 0..1. boxes_xyxy: (R, 4) in pixels of the picture; a box without
    area has an empty mask. height, width: of the picture.
    """

    probabilities: Tensor
    boxes_xyxy: Tensor
    height: int
    width: int

    def cpu(self) -> BoxedMaps:
        """Return the same on the CPU."""
        return BoxedMaps(
            probabilities=self.probabilities.cpu(),
            boxes_xyxy=self.boxes_xyxy.cpu(),
            height=self.height,
            width=self.width,
        )


@dataclass(frozen=True, kw_only=True)
class PastedMasks:
    """The masks of one picture's objects, on the CPU.

    masks: R run lengths of the whole picture. areas: (R,) int64, the pixels in each mask.
    boxes_xywh: (R, 4) int64, tight, whole pixels; zeros for an empty mask.
    """

    masks: list[RLE]
    areas: np.ndarray
    boxes_xywh: np.ndarray


def paste(pictures: Sequence[BoxedMaps], threshold: float = 0.5) -> list[PastedMasks]:
    """Return each picture's masks; what a device has made of all of them comes in one copy.

    A pixel is the object's where its map, stretched over its box and read bilinearly at the
    pixel's centre (zero outside the map), is at least `threshold` (spec, section 7).

    Args:
        threshold: above 0, at most 1.

    Raises:
        ValueError: shapes or the threshold don't fit.
    """
    encoded = [_encode(picture, threshold) for picture in pictures]
    copies = fetch_groups([one.parts_to_copy() for one in encoded])
    return [
        _read(picture, one, copied, threshold)
        for picture, one, copied in zip(pictures, encoded, copies, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class _Encoded:
    """One picture's masks where they were made; see `ops.paste_rle` and `ops.compress_rle`."""

    counts: Tensor
    offsets: Tensor
    areas: Tensor
    boxes_xywh: Tensor
    text: Tensor
    text_offsets: Tensor

    def parts_to_copy(self) -> tuple[Tensor, ...]:
        head = head_of(self.text, len(self.areas))
        return self.offsets, self.areas, self.boxes_xywh, self.text_offsets, head


def _encode(picture: BoxedMaps, threshold: float) -> _Encoded:
    counts, offsets, areas, boxes_xywh = ops.paste_rle(
        picture.probabilities, picture.boxes_xyxy, picture.height, picture.width, threshold
    )
    text, text_offsets = ops.compress_rle(counts, offsets)
    return _Encoded(
        counts=counts,
        offsets=offsets,
        areas=areas,
        boxes_xywh=boxes_xywh,
        text=text,
        text_offsets=text_offsets,
    )


def _read(
    picture: BoxedMaps, encoded: _Encoded, copied: tuple[Tensor, ...], threshold: float
) -> PastedMasks:
    offsets, areas, boxes_xywh, text_offsets, head = copied
    if offsets[-1] > len(encoded.counts):  # there was no room on the device
        return paste([picture.cpu()], threshold)[0]
    return PastedMasks(
        masks=strings(encoded.text, head, text_offsets, picture.height, picture.width),
        areas=areas.numpy(),
        boxes_xywh=boxes_xywh.numpy(),
    )
