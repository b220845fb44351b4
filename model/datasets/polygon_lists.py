"""Polygons as COCO has them, `[[x, y, x, y, …], …]`, from other ways to list their corners."""

from __future__ import annotations

from typing import Any

from model.datasets.numbers_as_text import as_number, as_numbers


def flat_rings(segmentation: list[Any]) -> tuple[list[Any], list[str]]:
    """Return the polygons as flat lists, and the kinds of findings that tell what was changed.

    One polygon may stand there without the outer list, and its corners in lists of two. What is
    none of these comes back as it is.
    """
    kinds = []
    if segmentation and not isinstance(as_number(segmentation[0]), list):
        if all(isinstance(as_number(value), int | float) for value in segmentation):
            kinds.append("flat_polygon")
            segmentation = [segmentation]
    elif len(segmentation) > 2 and _is_pairs(segmentation):
        kinds += ["flat_polygon", "point_pairs"]
        segmentation = [segmentation]
    rings = []
    for ring in segmentation:
        flat = [value for pair in ring for value in pair] if _is_pairs(ring) else ring
        numbers = as_numbers(flat)
        if flat is not ring and "point_pairs" not in kinds:
            kinds.append("point_pairs")
        if numbers is not flat and "text_number" not in kinds:
            kinds.append("text_number")
        rings.append(numbers)
    return rings, kinds


def _is_pairs(ring: Any) -> bool:
    return (
        isinstance(ring, list)
        and len(ring) > 0
        and isinstance(ring[0], list)
        and all(isinstance(point, list) and len(point) == 2 for point in ring)
        and all(isinstance(as_number(value), int | float) for point in ring for value in point)
    )
