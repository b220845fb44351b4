"""COCO's ways to write a mask (polygons, run lengths), as the records keep it."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.datasets.records import StoredShape
from model.masks.run_lengths import compress


def stored_shape(segmentation: Any, height: int, width: int) -> StoredShape:
    """Return a segmentation as `Picture` keeps it; None if it is absent, empty or broken.

    Polygons of fewer than three corners are dropped, and run lengths of another size.
    """
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size != [height, width] or not counts:
            return None
        if isinstance(counts, list):
            if sum(counts) != height * width:
                return None
            return compress(counts)
        return counts.encode() if isinstance(counts, str) else bytes(counts)
    if not isinstance(segmentation, list):
        return None
    polygons = [p for p in segmentation if is_polygon(p)]
    return tuple(np.array(p, dtype=np.float64).tobytes() for p in polygons) or None


def is_polygon(corners: Any) -> bool:
    """Tell whether this is a flat list of three corners or more, all finite."""
    if not isinstance(corners, list) or len(corners) < 6 or len(corners) % 2:
        return False
    return all(isinstance(v, int | float) and abs(v) < 1e9 for v in corners)
