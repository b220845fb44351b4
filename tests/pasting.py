"""Masks of a single picture, and of a crop in it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from model.masks.run_lengths import compress, counts_of
from model.prediction.paste import BoxedMaps, PastedMasks, paste
from model.structures import RLE


def paste_measured(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float = 0.5
) -> PastedMasks:
    """Return one picture's masks with their areas and boxes."""
    picture = BoxedMaps(
        probabilities=probabilities, boxes_xyxy=boxes_xyxy, height=height, width=width
    )
    return paste([picture], threshold)[0]


def paste_one(
    probabilities: Tensor, boxes_xyxy: Tensor, height: int, width: int, threshold: float = 0.5
) -> list[RLE]:
    """Return one picture's masks."""
    return paste_measured(probabilities, boxes_xyxy, height, width, threshold).masks


def encode_crop(crop: np.ndarray, top: int, left: int, height: int, width: int) -> RLE:
    """Return the run lengths of a picture that is empty but for a crop, (h, w) bool, in it."""
    return RLE(size=[height, width], counts=compress(counts_of(crop, top, left, height, width)))
