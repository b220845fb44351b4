"""The answer in its own JSON: plain dictionaries, ready for `json.dumps`.

Masks and boxes are in pixels of the upright picture. Every other format is made from this one.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal, get_args

from model.masks.panoptic_png import panoptic_png
from model.masks.polygons import polygons
from model.structures import SCORE_DECIMALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.categories import Categories
    from model.structures import RLE, Instances, PanopticSegmentation, Segment

InstanceMasks = Literal["rle", "polygon", "none"]
PanopticMasks = Literal["rle", "png", "none"]

_BOX_DECIMALS = 3


def do_nothing() -> None:
    """Do nothing."""


def model_member(name: str, sha256: str, categories: Categories) -> dict[str, str]:
    """Return what an answer says of the model: its name, weights' digest (hex) and categories."""
    return {"name": name, "weights": f"sha256:{sha256}", "categories": categories.name}


def segment_answer(
    instances: Instances,
    categories: Categories,
    *,
    image_id: str | None,
    masks: InstanceMasks,
    before_each: Callable[[], None] = do_nothing,
) -> dict[str, Any]:
    """Return one picture's instances, best score first, ties by category id, then by x.

    Boxes are [x, y, width, height], rounded to 3 decimals, scores to 6.

    Args:
        instances: with masks, unless `masks` is "none".
        categories: whose `things` the instances' classes are.
        image_id: goes into the answer as it is.
        masks: "rle" for COCO's run lengths, "polygon" for rings (see `model.masks.polygons`)
            with the indexes of the holes beside them, "none".
        before_each: is called before each instance; what it raises ends the work.

    Raises:
        ValueError: `masks` is something else, or not what the instances have.
    """
    _check_masks(masks, get_args(InstanceMasks), has_masks=instances.masks is not None)
    rows = []
    for index in told_order(instances, categories):
        before_each()
        rows.append(_instance_row(instances, index, categories, masks))
    return {
        "id": image_id,
        "width": instances.width,
        "height": instances.height,
        "instances": rows,
    }


def told_order(instances: Instances, categories: Categories) -> list[int]:
    """Return the instances' indexes as answers have them: best score first, as it is told."""

    def key(index: int) -> tuple[float, int, float]:
        category = categories.things[int(instances.classes[index])]
        left = round(float(instances.boxes_xyxy[index][0]), _BOX_DECIMALS)
        return -_score(instances.scores[index]), category.id, left

    return sorted(range(len(instances)), key=key)


def panoptic_answer(
    result: PanopticSegmentation,
    categories: Categories,
    *,
    image_id: str | None,
    masks: PanopticMasks,
) -> dict[str, Any]:
    """Return one picture's segments, in the order of the partition.

    Args:
        result: with a mask for each segment if `masks` is "rle".
        categories: `things` for the labels of things, `stuff` for those of stuff.
        image_id: goes into the answer as it is.
        masks: "rle" for COCO's run lengths, "png" for COCO's panoptic PNG of the whole
            partition in base64, "none".

    Raises:
        ValueError: `masks` is something else, or not what the segments have.
    """
    has_masks = masks == "png" or all(segment.mask is not None for segment in result.segments)
    _check_masks(masks, get_args(PanopticMasks), has_masks=has_masks)
    answer: dict[str, Any] = {
        "id": image_id,
        "width": result.width,
        "height": result.height,
        "segments": [_segment_row(segment, categories, masks) for segment in result.segments],
    }
    if masks == "png":
        answer["png"] = base64.b64encode(panoptic_png(result.segment_ids)).decode("ascii")
    return answer


def _instance_row(
    instances: Instances, index: int, categories: Categories, masks: InstanceMasks
) -> dict[str, Any]:
    category = categories.things[int(instances.classes[index])]
    x0, y0, x1, y1 = (float(side) for side in instances.boxes_xyxy[index])
    row: dict[str, Any] = {
        "category_id": category.id,
        "category": category.name,
        "score": _score(instances.scores[index]),
        "bbox": [round(side, _BOX_DECIMALS) for side in (x0, y0, x1 - x0, y1 - y0)],
    }
    if instances.areas is not None:
        row["area"] = int(instances.areas[index])
    if instances.masks is not None and masks == "rle":
        row["segmentation"] = _rle_row(instances.masks[index])
    elif instances.masks is not None and masks == "polygon":
        row["segmentation"], row["holes"] = polygons(instances.masks[index])
    return row


def _segment_row(segment: Segment, categories: Categories, masks: PanopticMasks) -> dict[str, Any]:
    category = categories.of(segment.label, segment.is_thing)
    row: dict[str, Any] = {
        "id": segment.id,
        "category_id": category.id,
        "category": category.name,
        "isthing": segment.is_thing,
    }
    if segment.score is not None:
        row["score"] = _score(segment.score)
    row["bbox"] = [int(side) for side in segment.bbox_xywh]
    row["area"] = int(segment.area)
    if masks == "rle" and segment.mask is not None:
        row["segmentation"] = _rle_row(segment.mask)
    return row


def _rle_row(rle: RLE) -> dict[str, Any]:
    height, width = rle["size"]
    return {"size": [int(height), int(width)], "counts": rle["counts"].decode("ascii")}


def _score(score: float) -> float:
    return round(float(score), SCORE_DECIMALS)


def _check_masks(masks: str, allowed: tuple[str, ...], *, has_masks: bool) -> None:
    if masks not in allowed:
        raise ValueError(f"masks is {masks!r}; it must be one of {', '.join(allowed)}")
    if masks != "none" and not has_masks:
        raise ValueError(f"masks is {masks!r}, but this result was made without masks")
