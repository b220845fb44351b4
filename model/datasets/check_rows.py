"""What may be wrong with single pictures and annotations of a COCO-style file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.datasets.findings import Findings
from model.datasets.records import StoredShape
from model.datasets.segmentation import is_polygon, stored_shape
from model.masks.rasterise import Bitmap, bitmap_of
from model.pictures.decode import ImageError, decode_image, read_header

_TINY = 4
_MIN_OVERLAP = 0.5

Row = Mapping[str, Any]


def is_sound_picture(row: Any) -> bool:
    """Tell whether a picture's row has an id, a file name and a size."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), int | str)
        and isinstance(row.get("file_name"), str)
        and all(isinstance(row.get(side), int) and row[side] > 0 for side in ("height", "width"))
    )


def check_file(path: Path, height: int, width: int, *, quick: bool) -> tuple[str, str] | None:
    """Return the kind and an example if a picture's file is not as it should be, else None.

    Args:
        quick: don't decode pixels, unless only they tell the upright size.
    """
    try:
        data = path.read_bytes()
        header = read_header(data)
        size = (header.height, header.width)
        if not quick or size != (height, width) or b"Exif\x00\x00" in data[:65536]:
            size = decode_image(data).shape[:2]
    except OSError as error:
        return "missing", f"{path} ({error.strerror})"
    except ImageError as error:
        return "undecodable", f"{path}: {error}"
    if size != (height, width):
        return "size", f"{path} is {size[1]}×{size[0]}, not {width}×{height}"
    return None


def check_annotation(row: Row, picture: Row, findings: Findings) -> bool:
    """Look at one annotation of a sound picture; return whether training can use it."""
    name = f"annotation {row.get('id')!r} of {picture['file_name']}"
    height, width = int(picture["height"]), int(picture["width"])
    segmentation = row.get("segmentation")
    shape = stored_shape(segmentation, height, width)
    try:
        extent = _extent(shape, height, width)
    except ValueError:  # the run lengths don't fill the picture
        shape = extent = None
    _check_segmentation(segmentation, shape, name, findings)
    if "bbox" not in row and extent is not None:
        box = extent
    elif _is_box(row.get("bbox")):
        x, y, w, h = (float(value) for value in row["bbox"])
        box = np.array([x, y, x + w, y + h])
    else:
        findings.add("annotation_row", f"{name}: bbox {row.get('bbox')!r}")
        return False
    if row.get("iscrowd"):
        findings.add("crowd", name)
        return False
    if shape is None:
        findings.add("no_mask", name)
    return _check_box(box, extent, height, width, name, findings)


def _check_box(
    box: np.ndarray,
    extent: np.ndarray | None,
    height: int,
    width: int,
    name: str,
    findings: Findings,
) -> bool:
    limits = np.array([width, height, width, height], dtype=np.float64)
    clipped = np.clip(box, 0, limits)
    shown = f"{name}: {', '.join(f'{value:g}' for value in box)} in {width}×{height}"
    if np.abs(clipped - box).max() > 1:
        findings.add("outside", shown)
    sides = clipped[2:] - clipped[:2]
    if sides.min() <= 0:
        findings.add("empty_box", shown)
        return False
    if sides.min() < _TINY:
        findings.add("tiny", shown)
    if extent is not None and _overlap(box, extent) < _MIN_OVERLAP:
        findings.add("apart", shown)
    return True


def _check_segmentation(
    segmentation: Any, shape: StoredShape, name: str, findings: Findings
) -> None:
    if isinstance(segmentation, dict):
        if shape is None:
            findings.add("run_lengths", f"{name}: size {segmentation.get('size')!r}")
    elif segmentation is not None and not isinstance(segmentation, list):
        findings.add("polygon", f"{name}: {segmentation!r:.60}")
    elif segmentation:
        broken = [polygon for polygon in segmentation if not is_polygon(polygon)]
        if broken:
            findings.add("polygon", f"{name}: {broken[0]!r:.60}")


def _extent(shape: StoredShape, height: int, width: int) -> np.ndarray | None:
    """Return the mask's own box, None without a mask."""
    if shape is None:
        return None
    if isinstance(shape, tuple):
        corners = np.frombuffer(b"".join(shape), dtype=np.float64).reshape(-1, 2)
        return np.concatenate((corners.min(axis=0), corners.max(axis=0)))
    bitmap: Bitmap = bitmap_of({"size": [height, width], "counts": shape})
    h, w = bitmap.crop.shape
    return np.array([bitmap.left, bitmap.top, bitmap.left + w, bitmap.top + h], dtype=np.float64)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two boxes, one pixel wider on each side.

    The margin forgives thin objects what rounding does to them.
    """
    grow = np.array([-1, -1, 1, 1])
    a, b = a + grow, b + grow
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    common = float(sides.prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common
    return common / union if union > 0 else 0.0


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, int | float) and math.isfinite(v) for v in value)
    )
