"""The truth about one picture, in the terms of the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from model.evaluation.average_precision import Shapes
from model.evaluation.data import EvaluationData, Picture
from model.evaluation.panoptic_quality import TrueSegment
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


def true_objects(data: EvaluationData, picture: Picture) -> TrueObjects:
    """Return what the instances file says of a picture.

    Raises:
        ValueError: an annotation has neither a box nor a mask that can be read.
    """
    assert data.instances is not None
    annotations: Sequence[Mapping[str, Any]] = data.instances.rows.get(picture.id, ())
    masks = [_run_lengths(a.get("segmentation"), picture) for a in annotations]
    boxes = np.array(
        [_box_xywh(a, mask) for a, mask in zip(annotations, masks, strict=True)], dtype=np.float64
    ).reshape(-1, 4)
    whole = [mask or _filled_box(box, picture) for mask, box in zip(masks, boxes, strict=True)]
    areas = np.array(
        [
            a.get("area", float(_coco.area(mask)))
            for a, mask in zip(annotations, whole, strict=True)
        ],
        dtype=np.float64,
    )
    ids = np.array([a["category_id"] for a in annotations], dtype=np.int64)
    return TrueObjects(
        boxes=Shapes(shapes=boxes, category_ids=ids, areas=areas),
        masks=Shapes(shapes=whole, category_ids=ids, areas=areas),
        is_crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
        lacks_mask=np.array([mask is None for mask in masks], dtype=bool),
    )


def true_partition(
    data: EvaluationData, picture: Picture
) -> tuple[np.ndarray, list[TrueSegment]] | str:
    """Return a picture's true map, (H, W) int64 ids, and its segments; or why there is none."""
    assert data.panoptic is not None
    assert data.panoptic_folder is not None
    row = data.panoptic.rows.get(picture.id)
    if row is None:
        return f"{data.panoptic.name} says nothing of it"
    path = data.panoptic_folder / row["file_name"]
    try:
        with Image.open(path) as image:
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.int64), 2, 0)
    except (OSError, SyntaxError, ValueError) as error:
        return f"its true map {path.name} cannot be read: {error}"
    segments = [
        TrueSegment(
            id=int(segment["id"]),
            category_id=int(segment["category_id"]),
            is_crowd=bool(segment.get("iscrowd", 0)),
        )
        for segment in row["segments_info"]
    ]
    return red + 256 * green + 65536 * blue, segments


def _box_xywh(annotation: Mapping[str, Any], mask: RLE | None) -> Sequence[float]:
    if "bbox" in annotation:
        return list(annotation["bbox"])
    if mask is None:
        raise ValueError(f"annotation {annotation.get('id')} has neither a bbox nor a mask")
    return list(_coco.toBbox(mask))


def _run_lengths(segmentation: Any, picture: Picture) -> RLE | None:
    """Return a mask in run lengths; None where it is absent, broken or of another size."""
    size = [picture.height, picture.width]
    if isinstance(segmentation, dict) and list(segmentation.get("size", ())) == size:
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            whole = {"size": size, "counts": counts}
            return _encoded(_coco.frPyObjects(whole, *size)) if sum(counts) else None
        if isinstance(counts, str):
            return RLE(size=size, counts=counts.encode())
    if isinstance(segmentation, list):
        # Fewer than three corners enclose nothing; four numbers would even be read as a box.
        rings = [r for r in segmentation if isinstance(r, list) and len(r) >= 6]
        if rings:
            return _encoded(_coco.merge(_coco.frPyObjects(rings, *size)))
    return None


def _filled_box(box_xywh: np.ndarray, picture: Picture) -> RLE:
    return _encoded(_coco.frPyObjects(box_xywh[None], picture.height, picture.width)[0])


def _encoded(rle: Any) -> RLE:
    return RLE(size=list(rle["size"]), counts=rle["counts"])
