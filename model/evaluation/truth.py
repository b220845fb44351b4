"""The truth about one picture, in the terms of the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from model.datasets.annotations import Annotation
from model.datasets.panoptic_file import TrueSegment, read_true_map
from model.datasets.records import shape_of
from model.evaluation.average_precision import Shapes
from model.evaluation.data import EvaluationData, Picture
from model.masks.rasterise import run_lengths
from model.structures import RLE

# pycocotools' own types know neither our RLE nor arrays of boxes.
_coco: Any = coco_mask


@dataclass(frozen=True, kw_only=True)
class TrueObjects:
    """One picture's annotations.

    is_crowd: (n,) bool. lacks_mask: (n,) bool; there the mask is the whole box.
    """

    boxes: Shapes
    masks: Shapes
    is_crowd: np.ndarray
    lacks_mask: np.ndarray


def true_objects(picture: Picture) -> TrueObjects:
    """Return a picture's objects and crowds."""
    annotations = picture.annotations
    boxes = np.array([a.box_xywh for a in annotations], dtype=np.float64).reshape(-1, 4)
    masks = [_mask(a, picture) for a in annotations]
    areas = np.array(
        [
            float(_coco.area(mask)) if a.area is None else a.area
            for a, mask in zip(annotations, masks, strict=True)
        ],
        dtype=np.float64,
    )
    ids = np.array([a.category_id for a in annotations], dtype=np.int64)
    return TrueObjects(
        boxes=Shapes(shapes=boxes, category_ids=ids, areas=areas),
        masks=Shapes(shapes=masks, category_ids=ids, areas=areas),
        is_crowd=np.array([a.is_crowd for a in annotations], dtype=bool),
        lacks_mask=np.array([a.shape is None for a in annotations], dtype=bool),
    )


def true_partition(
    data: EvaluationData, picture: Picture
) -> tuple[np.ndarray, list[TrueSegment]] | str:
    """Return a picture's true map, (H, W) int64 ids, and its segments; or why there is none."""
    assert data.panoptic is not None
    assert data.panoptic_folder is not None
    if picture.partition is None:
        return f"{data.panoptic.name} says nothing of it"
    partition = picture.partition
    try:
        ids = read_true_map(data.panoptic_folder, partition, picture.height, picture.width)
    except ValueError as error:
        return str(error)
    return ids.astype(np.int64), list(partition.segments)


def _mask(annotation: Annotation, picture: Picture) -> RLE:
    """Return a mask in run lengths; where there is none, that of the box in the picture."""
    height, width = picture.height, picture.width
    shape = shape_of(annotation.shape, height, width)
    if shape is not None:
        return run_lengths(shape, height, width) if isinstance(shape, list) else shape
    x, y, w, h = annotation.box_xywh
    x0, y0 = max(x, 0.0), max(y, 0.0)
    inside = np.array([[x0, y0, min(x + w, width) - x0, min(y + h, height) - y0]])
    filled = _coco.frPyObjects(inside, height, width)[0]
    return RLE(size=list(filled["size"]), counts=filled["counts"])
