"""Whether an annotation's box and its mask agree."""

from __future__ import annotations

import numpy as np

from model.datasets.annotations import Annotation
from model.datasets.segmentation import extent_of

_MIN_OVERLAP = 0.5


def is_far_from_mask(annotation: Annotation, height: int, width: int) -> bool:
    """Return whether an annotation's box overlaps that of its mask by less than half."""
    x, y, w, h = annotation.box_xywh
    return _is_far(annotation, np.array([x, y, x + w, y + h]), height, width)


def has_corners_for_box(annotation: Annotation, height: int, width: int) -> bool:
    """Return whether an annotation's box fits its mask where it is read as x0, y0, x1, y1."""
    corners = np.array(annotation.box_xywh)
    is_box = bool((corners[2:] > corners[:2]).all())
    return is_box and not _is_far(annotation, corners, height, width)


def _is_far(annotation: Annotation, box: np.ndarray, height: int, width: int) -> bool:
    extent = extent_of(annotation.shape, height, width)
    return extent is not None and _overlap(box, extent) < _MIN_OVERLAP


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two boxes, one pixel wider on each side.

    The margin forgives thin objects what rounding does to them.
    """
    grow = np.array([-1, -1, 1, 1])
    a, b = a + grow, b + grow
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    common = float(sides.prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common
    return common / union if union > 0 else 0.0
