"""One annotation of a COCO-style file, as training, evaluation and check-data read it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from model.datasets.findings import Findings
from model.datasets.numbers_as_text import as_id, as_numbers
from model.datasets.records import StoredShape
from model.datasets.segmentation import FARTHEST, extent_of, read_shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """One object, or one crowd.

    id: as the file has it, None without one. category_id: one that the file lists.
    box_xywh: in pixels, with area inside the picture; the mask's extent where none is given.
    shape: None for an object that has a box only. area: None where the file has none.
    """

    id: Any
    category_id: int
    is_crowd: bool
    box_xywh: tuple[float, float, float, float]
    shape: StoredShape
    area: float | None


def read_annotation(
    row: Mapping[str, Any],
    *,
    picture: str,
    height: int,
    width: int,
    category_ids: Collection[int],
    crowds_are_objects: bool,
    findings: Findings,
) -> Annotation | None:
    """Return what can be used of an annotation; None if nothing can.

    Args:
        picture: its name, for messages. height, width: of the picture.
        category_ids: those that the file lists.
        crowds_are_objects: read what the file calls a crowd as an object.
        findings: get what had to be dropped.
    """
    name = f"annotation {row.get('id')!r} of {picture}"
    category_id, given, is_crowd, area = _numbers_of(row, name, findings)
    if not isinstance(category_id, int) or category_id not in category_ids:
        findings.add("category", f"{name}: category {category_id!r:.60}")
        return None
    read = read_shape(row.get("segmentation"), height, width)
    for kind in read.kinds:
        findings.add(kind, f"{name}: {read.example}" if read.example else name)
    box = _given_box(given) if given else _box_around(read.shape, height, width)
    if box is None:
        findings.add("annotation_row", f"{name}: bbox {given!r:.60}")
        return None
    is_far = max(map(abs, box)) > FARTHEST * max(height, width)
    if is_far or not _has_area_inside(box, height, width):
        shown = ", ".join(f"{value:g}" for value in box)
        kind = "far_box" if is_far else "empty_box"
        findings.add(kind, f"{name}: x, y, width, height {shown} in {width}×{height}")
        return None
    return Annotation(
        id=row.get("id"),
        category_id=category_id,
        is_crowd=bool(is_crowd) and not crowds_are_objects,
        box_xywh=box,
        shape=read.shape,
        area=_given_area(area),
    )


def _numbers_of(row: Mapping[str, Any], name: str, findings: Findings) -> tuple[Any, ...]:
    """Return the category's id, the box, whether it is a crowd, and the area."""
    written = [row.get(key) for key in ("category_id", "bbox", "iscrowd", "area")]
    numbers = [as_numbers(value) for value in written]
    if any(number is not value for number, value in zip(numbers, written, strict=True)):
        findings.add("text_number", name)
    return as_id(numbers[0]), *numbers[1:]


def _given_box(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_finite, value)):
        return None
    x, y, w, h = map(float, value)
    return x, y, w, h


def _box_around(
    shape: StoredShape, height: int, width: int
) -> tuple[float, float, float, float] | None:
    extent = extent_of(shape, height, width)
    if extent is None:
        return None
    x0, y0, x1, y1 = extent.tolist()
    return x0, y0, x1 - x0, y1 - y0


def _has_area_inside(box: tuple[float, float, float, float], height: int, width: int) -> bool:
    x, y, w, h = box
    return min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)


def _given_area(value: Any) -> float | None:
    return float(value) if _is_finite(value) and value >= 0 else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
