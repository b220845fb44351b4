"""Who finds whom: detections and truths of one category in one picture, by COCO's rules."""
# D detections, G truths, A area ranges, T IoU thresholds

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from model.structures import RLE

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)

# What becomes of a detection.
FALSE, TRUE, IGNORED = 0, 1, -1


def ious(
    found: np.ndarray | Sequence[RLE],
    mine: np.ndarray,
    truth: np.ndarray | Sequence[RLE],
    theirs: np.ndarray,
    crowd: np.ndarray,
) -> np.ndarray:
    """Return (D, G) IoUs; for a crowd, the share of the detection that lies in it."""
    if len(mine) == 0 or len(theirs) == 0:
        return np.zeros((len(mine), len(theirs)))
    chosen: Any
    others: Any
    if isinstance(found, np.ndarray) and isinstance(truth, np.ndarray):
        chosen, others = found[mine], truth[theirs]
    else:
        chosen, others = [found[i] for i in mine], [truth[i] for i in theirs]
    return np.asarray(coco_mask.iou(chosen, others, crowd[theirs].astype(np.uint8)))


def match(
    overlaps: np.ndarray, crowd: np.ndarray, to_ignore: np.ndarray, outside: np.ndarray
) -> np.ndarray:
    """Return (A, T, D) states: best score first, each detection takes the best truth left.

    A truth that counts goes before any that is to be ignored; of equal IoUs the last wins. What
    is found of an ignored truth, or nowhere and outside the area range, is ignored itself.

    Args:
        overlaps: (D, G) of `ious`, detections by descending score.
        crowd: (G,) bool, truths that may be taken many times.
        to_ignore: (A, G). outside: (A, D).
    """
    thresholds = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # (T, 1)
    num_areas, num_found = outside.shape
    start = np.where(outside, IGNORED, FALSE).astype(np.int8)
    states = np.repeat(start[:, None, :], len(thresholds), axis=1)  # (A, T, D)
    taken = np.zeros((num_areas, len(thresholds), len(crowd)), dtype=bool)
    counts = ~to_ignore[:, None, :]  # (A, 1, G)
    near = overlaps.max(axis=1, initial=0.0) >= thresholds[0, 0] if num_found else np.zeros(0, bool)
    for index in np.flatnonzero(near):
        free = (overlaps[index] >= thresholds) & ~taken  # (A, T, G)
        preferred = free & counts
        is_true = preferred.any(axis=2)
        choice = np.where(is_true[:, :, None], preferred, free)
        hit = choice.any(axis=2)
        backwards = np.where(choice, overlaps[index], -1.0)[:, :, ::-1]
        best = len(crowd) - 1 - backwards.argmax(axis=2)
        area, threshold = np.nonzero(hit)
        chosen = best[hit]
        taken[area, threshold, chosen] = ~crowd[chosen]
        states[:, :, index][hit] = np.where(is_true[hit], TRUE, IGNORED)
    return states
