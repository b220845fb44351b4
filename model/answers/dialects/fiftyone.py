"""FiftyOne's detections, as `fiftyone.Detections.from_json` reads them."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from model.answers.dialects.rows import Image, rows_of, run_lengths_of, tight_crop
from model.answers.json_answer import do_nothing


def fiftyone_detections(
    image: Image, *, tolerance: float | None = None, before_each: Callable[[], None] = do_nothing
) -> dict[str, Any]:
    """Return an image's rows as FiftyOne's detections.

    Boxes are [x, y, width, height] as parts of the picture's sides; that of a mask is tight, and
    the mask is cropped to it. A row whose mask is empty has its box alone.

    Args:
        before_each: is called before each row; what it raises ends the work.
    """
    detections = []
    for row in rows_of(image):
        before_each()
        rle = run_lengths_of(row)
        crop = None if rle is None else tight_crop(rle)
        x, y, width, height = row["bbox"]
        mask = {}
        if crop is not None:
            x, y, width, height = crop.left, crop.top, *crop.pixels.shape[::-1]
            mask = {"mask": _binary(crop.pixels)}
        detections.append(
            {
                "_cls": "Detection",
                "label": row["category"],
                "bounding_box": [
                    x / image["width"],
                    y / image["height"],
                    width / image["width"],
                    height / image["height"],
                ],
                **mask,
                "confidence": row.get("score"),
            }
        )
    return {"_cls": "Detections", "detections": detections}


def _binary(array: np.ndarray) -> dict[str, Any]:
    """Return an array as FiftyOne keeps it: NumPy's file, deflated, as MongoDB's JSON has bytes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")
    return {"$binary": {"base64": text, "subType": "00"}}
