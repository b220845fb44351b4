"""Label Studio's regions, in the shape of a prediction of its ML backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.answers.dialects.labelstudio_brush import brush
from model.answers.dialects.rows import Image, Row, name_of, rows_of, run_lengths_of
from model.answers.json_answer import do_nothing
from model.masks.joined_ring import joined_ring
from model.structures import SCORE_DECIMALS


def labelstudio_prediction(
    image: Image,
    *,
    tolerance: float | None = None,
    before_each: Callable[[], None] = do_nothing,
    from_name: str = "label",
    to_name: str = "image",
) -> dict[str, Any]:
    """Return an image's rows as regions: brushes, polygons or, without masks, rectangles.

    The prediction's score is the mean of the regions'. A row whose mask is empty is left out:
    nobody could see such a region, nor remove it.

    Args:
        tolerance: polygons in place of brushes, of one ring each, see `joined_ring`.
        before_each: is called before each row; what it raises ends the work.
        from_name, to_name: of the labels' tag and of the picture's in the labelling interface.
    """
    regions = []
    for index, row in enumerate(rows_of(image)):
        before_each()
        shape = _shape(row, image["width"], image["height"], tolerance)
        if shape is None:
            continue
        kind, value = shape
        region = {
            "id": name_of(image, index),
            "from_name": from_name,
            "to_name": to_name,
            "type": kind,
            "value": {**value, kind: [row["category"]]},
            "original_width": image["width"],
            "original_height": image["height"],
            "image_rotation": 0,
        }
        score = row.get("score")
        regions.append(region if score is None else {**region, "score": score})
    scores = [region["score"] for region in regions if "score" in region]
    score = round(sum(scores) / len(scores), SCORE_DECIMALS) if scores else 0.0
    return {"result": regions, "score": score}


def _shape(
    row: Row, width: int, height: int, tolerance: float | None
) -> tuple[str, dict[str, Any]] | None:
    """Return the kind of a row's region and where it lies; None where its mask is empty."""
    mask = run_lengths_of(row)
    if mask is None:
        return "rectanglelabels", _rectangle(row["bbox"], width, height)
    if row["area"] == 0:
        return None
    if tolerance is not None:
        percent = joined_ring(mask, tolerance) * (100 / width, 100 / height)
        return "polygonlabels", {"points": percent.tolist(), "closed": True}
    return "brushlabels", {"format": "rle", "rle": list(brush(mask))}


def _rectangle(box_xywh: list[float], width: int, height: int) -> dict[str, float]:
    x, y, w, h = box_xywh
    return {
        "x": 100 * x / width,
        "y": 100 * y / height,
        "width": 100 * w / width,
        "height": 100 * h / height,
        "rotation": 0,
    }
