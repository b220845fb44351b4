"""COCO's own shapes: the list of results, and the annotation of a panoptic picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from model.answers.dialects.rows import Image
from model.answers.json_answer import do_nothing


def coco_results(
    image: Image, *, tolerance: float | None = None, before_each: Callable[[], None] = do_nothing
) -> list[dict[str, Any]]:
    """Return an image's instances as rows of COCO's results, as `COCO.loadRes` reads them."""
    return [
        {
            "image_id": image_number(image["id"]),
            "category_id": row["category_id"],
            "bbox": row["bbox"],
            "score": row["score"],
            **({"segmentation": row["segmentation"]} if "segmentation" in row else {}),
        }
        for row in image["instances"]
    ]


def coco_panoptic(
    image: Image, *, tolerance: float | None = None, before_each: Callable[[], None] = do_nothing
) -> dict[str, Any]:
    """Return an image's partition as COCO's panoptic annotation.

    The PNG, in base64, stands beside it as "png"; `file_name` is what to call its file.
    """
    number = image_number(image["id"])
    annotation: dict[str, Any] = {
        "image_id": number,
        "file_name": f"{PurePath(image['id'] or 'image').stem}.png",
        "segments_info": [
            {
                "id": row["id"],
                "category_id": row["category_id"],
                "area": row["area"],
                "bbox": row["bbox"],
                "iscrowd": 0,
            }
            for row in image["segments"]
        ],
    }
    if "png" in image:
        annotation["png"] = image["png"]
    return annotation


def image_number(image_id: str | None) -> int | str | None:
    """Return COCO's id of an image: a file is called by it (000000000139.jpg is image 139).

    What is no number stays as it is.
    """
    stem = PurePath(image_id).stem if image_id else ""
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= 18 else image_id
