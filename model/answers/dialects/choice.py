"""Which dialects there are, what each can tell, and how the answers of several images are joined.

An image's own part is made where its picture is; the whole is joined from such parts as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

from model.answers.dialects.coco import coco_panoptic, coco_results
from model.answers.dialects.cvat import cvat_shapes
from model.answers.dialects.fiftyone import fiftyone_detections
from model.answers.dialects.labelstudio import labelstudio_prediction
from model.answers.dialects.roboflow import roboflow_image
from model.answers.dialects.rows import Image
from model.answers.json_answer import do_nothing

Dialect = Literal["native", "coco", "roboflow", "labelstudio", "cvat", "fiftyone"]
Masks = Literal["rle", "polygon", "png", "none"]


class _Teller(Protocol):
    def __call__(
        self, image: Image, *, tolerance: float | None, before_each: Callable[[], None]
    ) -> dict[str, Any] | list[dict[str, Any]]: ...


# What `masks` can be; the first where nothing is said.
_INSTANCE_MASKS: MappingProxyType[Dialect, tuple[Masks, ...]] = MappingProxyType(
    {
        "native": ("rle", "polygon", "none"),
        "coco": ("rle", "none"),
        "roboflow": ("rle", "polygon", "none"),
        "labelstudio": ("rle", "polygon", "none"),
        "cvat": ("rle", "polygon", "none"),
        "fiftyone": ("rle", "none"),
    }
)
_PANOPTIC_MASKS: MappingProxyType[Dialect, tuple[Masks, ...]] = MappingProxyType(
    {**_INSTANCE_MASKS, "native": ("rle", "png", "none"), "coco": ("png", "none")}
)
_TELLERS: MappingProxyType[Dialect, _Teller] = MappingProxyType(
    {
        "coco": coco_results,
        "roboflow": roboflow_image,
        "labelstudio": labelstudio_prediction,
        "cvat": cvat_shapes,
        "fiftyone": fiftyone_detections,
    }
)


def masks_of(dialect: Dialect, *, is_panoptic: bool) -> tuple[Masks, ...]:
    """Return how a dialect can tell masks, its usual way first."""
    return (_PANOPTIC_MASKS if is_panoptic else _INSTANCE_MASKS)[dialect]


def native_masks(dialect: Dialect, masks: Masks) -> Masks:
    """Return the masks of the native member that an answer with `masks` is made from."""
    return "rle" if masks == "polygon" and dialect != "native" else masks


def tell(
    image: Image,
    dialect: Dialect,
    masks: Masks,
    before_each: Callable[[], None] = do_nothing,
    *,
    tolerance: float = 0,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Return an image's part of an answer in a dialect.

    Args:
        image: the member of `segment_answer` or `panoptic_answer`, with `native_masks`.
        masks: one of `masks_of`.
        before_each: is called before each row; what it raises ends the work.
        tolerance: of outlines, in pixels; see `simplified_ring`.

    Raises:
        TooManyPixelsError: the masks are too large to be told that way.
    """
    if dialect == "native":
        return image
    teller = _TELLERS[dialect]
    if dialect == "coco" and "segments" in image:
        teller = coco_panoptic
    outlines = tolerance if masks == "polygon" else None
    return teller(image, tolerance=outlines, before_each=before_each)


def join(
    dialect: Dialect, model: dict[str, str], parts: Sequence[bytes], *, is_panoptic: bool
) -> bytes:
    """Return the whole answer from its images' parts, which are JSON already.

    Args:
        model: of `model_member`.
    """
    together = b",".join(parts)
    match dialect:
        case "native":
            return b'{"model":' + _json(model) + b',"images":[' + together + b"]}"
        case "coco" if is_panoptic:
            return b'{"annotations":[' + together + b"]}"
        case "coco":  # one list of all rows
            return b"[" + b",".join(part[1:-1] for part in parts if part != b"[]") + b"]"
        case "labelstudio":
            version = _json(f"{model['name']} {model['weights'][:19]}")
            return b'{"results":[' + together + b'],"model_version":' + version + b"}"
        case _:
            return together if len(parts) == 1 else b"[" + together + b"]"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
