"""Results as `supervision.Detections`, for that library's tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model.masks.run_columns import crop_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import supervision

    from model.categories import Categories, Category
    from model.structures import RLE, Instances, PanopticSegmentation


def instance_detections(instances: Instances, categories: Categories) -> supervision.Detections:
    """Return the instances, best score first, with masks if they have any.

    `class_id` has the data set's own ids, `data["class_name"]` the names.

    Raises:
        ImportError: supervision is not installed.
    """
    return detections_of(
        [categories.things[int(index)] for index in instances.classes],
        xyxy=instances.boxes_xyxy,
        mask=None if instances.masks is None else bitmaps(instances),
        confidence=instances.scores,
    )


def panoptic_detections(
    result: PanopticSegmentation, categories: Categories
) -> supervision.Detections:
    """Return the segments of the partition, things and stuff, in its order.

    `class_id` has the data set's own ids, `data["class_name"]` the names and `data["isthing"]`
    the kinds. Stuff has no score: its `confidence` is NaN.

    Raises:
        ImportError: supervision is not installed.
    """
    segments = result.segments
    boxes = np.array([segment.bbox_xywh for segment in segments], np.float32).reshape(-1, 4)
    ids = np.array([segment.id for segment in segments], result.segment_ids.dtype)
    scores = [np.nan if segment.score is None else segment.score for segment in segments]
    return detections_of(
        [categories.of(segment.label, segment.is_thing) for segment in segments],
        xyxy=np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:])),
        mask=result.segment_ids == ids[:, None, None],
        confidence=np.array(scores, np.float32),
        isthing=np.array([segment.is_thing for segment in segments], bool),
    )


def bitmaps(instances: Instances) -> np.ndarray:
    """Return the masks as pixels: bool (R, height, width).

    Raises:
        ValueError: the instances were made without masks.
    """
    if instances.masks is None:
        raise ValueError("this result was made without masks; PredictOptions(masks=True) asks")
    return bitmaps_of(instances.masks, instances.height, instances.width)


def bitmaps_of(masks: Sequence[RLE], height: int, width: int) -> np.ndarray:
    """Return run lengths as pixels: bool (R, height, width)."""
    pixels = np.zeros((len(masks), height, width), bool)
    for bitmap, mask in zip(pixels, masks, strict=True):
        crop, top, left = crop_of(mask)
        bitmap[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return pixels


def detections_of(
    rows: Sequence[Category],
    *,
    xyxy: np.ndarray,
    mask: np.ndarray | None,
    confidence: np.ndarray,
    **data: Any,
) -> supervision.Detections:
    """Return detections of those categories.

    Args:
        xyxy: (R, 4). mask: bool (R, height, width), if there are any. confidence: (R,).
        data: further columns.
    Raises:
        ImportError: supervision is not installed.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        if error.name != "supervision":
            raise
        raise ImportError("supervision is not installed: pip install supervision") from None
    return supervision.Detections(
        xyxy=xyxy,
        mask=mask,
        confidence=confidence,
        class_id=np.array([category.id for category in rows], int),
        data={"class_name": np.array([category.name for category in rows], str), **data},
    )
