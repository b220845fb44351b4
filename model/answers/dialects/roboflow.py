"""Roboflow's predictions, as `supervision.Detections.from_inference` reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.answers.dialects.rows import Image, name_of, rows_of, run_lengths_of
from model.answers.json_answer import do_nothing
from model.masks.joined_ring import joined_ring


def roboflow_image(
    image: Image, *, tolerance: float | None = None, before_each: Callable[[], None] = do_nothing
) -> dict[str, Any]:
    """Return Roboflow's answer for one image.

    Stuff has no score; its confidence is 1, since readers want a number. With outlines a row
    whose mask is empty is left out: readers drop all masks when a single one is missing.

    Args:
        tolerance: "points" in place of "rle", of one ring for a mask, see `joined_ring`.
        before_each: is called before each row; what it raises ends the work.
    """
    predictions = []
    for index, row in enumerate(rows_of(image)):
        before_each()
        x, y, width, height = row["bbox"]
        prediction: dict[str, Any] = {
            "x": round(x + width / 2, 4),
            "y": round(y + height / 2, 4),
            "width": width,
            "height": height,
            "confidence": row.get("score", 1.0),
            "class": row["category"],
            "class_id": row["category_id"],
            "detection_id": name_of(image, index),
        }
        mask = run_lengths_of(row)
        if mask is not None and tolerance is not None:
            ring = joined_ring(mask, tolerance)
            if not len(ring):
                continue
            prediction["points"] = [{"x": x, "y": y} for x, y in ring.tolist()]
        elif mask is not None:
            prediction["rle"] = row["segmentation"]
        predictions.append(prediction)
    return {"image": _size(image), "predictions": predictions}


def _size(image: Image) -> dict[str, int]:
    return {"width": image["width"], "height": image["height"]}
