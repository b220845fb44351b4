"""A native answer's masks from one form into another, without a model.

An image's member is read with masks as run lengths, rings or PNGs, and told again as asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import numpy as np

from model.answers.dialects.choice import Dialect, Masks, masks_of, tell
from model.answers.dialects.rows import Image, Row, rows_of
from model.masks.filled_rings import box_of_rings, mask_of_rings
from model.masks.mask_png import mask_png, read_id_png, read_mask_png
from model.masks.panoptic_png import panoptic_png
from model.masks.polygons import rings
from model.masks.run_columns import Columns, columns_of, crop_of, decompress
from model.masks.run_lengths import compress, counts_of
from model.masks.simplified_ring import simplified_ring
from model.structures import RLE

Spend = Callable[[int], None]
_MAX_CHARACTERS = 7  # of a count in COCO's string: more than 32 bits
_MAX_SEGMENT_ID = 2**24 - 1
_FORMS = ("segmentation", "holes", "png")


def masks_to_convert_to(dialect: Dialect, *, is_panoptic: bool) -> tuple[Masks, ...]:
    """Return the forms that masks can be converted to; an instance may have a PNG of its own."""
    possible = masks_of(dialect, is_panoptic=is_panoptic)
    return (*possible, "png") if dialect == "native" and not is_panoptic else possible


def convert_image(
    image: Image, dialect: Dialect, masks: Masks, *, tolerance: float, spend: Spend
) -> dict[str, Any] | list[dict[str, Any]]:
    """Return an image's part of an answer in a dialect.

    A row's mask is `segmentation`, run lengths (COCO's string or its counts) or rings, or `png`;
    that of a segment may also be in the image's own `png`. Area and a box that is not given are
    the mask's.

    Args:
        image: the member of a native answer.
        masks: one of `masks_to_convert_to`.
        tolerance: of outlines, in pixels; see `simplified_ring`.
        spend: is called with the pixels that are worked on; what it raises ends the work.

    Raises:
        ValueError: a mask cannot be read; the text names it.
    """
    height, width = image["height"], image["width"]
    ids = None
    if image.get("png") is not None:
        spend(height * width)
        ids = read_id_png(_octets(image["png"]), height, width)
    rows = []
    for index, row in enumerate(rows_of(image)):
        spend(0)
        try:
            rows.append(_with_run_lengths(row, ids, height, width, spend))
        except ValueError as error:
            raise ValueError(f"row {index}: {error}") from None
    kind = "instances" if "instances" in image else "segments"
    plain = {**image, kind: rows}
    plain.pop("png", None)
    if masks == "none":
        for row in rows:
            row.pop("segmentation", None)
    elif masks == "png" and kind == "segments":
        spend(height * width)
        plain["png"] = _partition(rows, height, width)
    if dialect != "native":
        return tell(plain, dialect, masks, lambda: spend(0), tolerance=tolerance)
    for row in rows:
        _tell_natively(row, masks, tolerance, spend)
    return plain


def _with_run_lengths(
    row: Row, ids: np.ndarray | None, height: int, width: int, spend: Spend
) -> Row:
    """Return a row whose mask is run lengths, with the area and, where there was none, the box."""
    mask = _read_mask(row, ids, height, width, spend)
    told = {name: value for name, value in row.items() if name not in _FORMS}
    if mask is None:
        if told.get("bbox") is None:
            raise ValueError("it has neither a mask nor a bbox")
        if "isthing" in row and told.get("area") is None:
            raise ValueError("it has neither a mask nor an area")
        return told
    runs = columns_of(mask)
    box = _box(runs)
    spend(box[2] * box[3])
    told["area"] = runs.num_pixels
    if told.get("bbox") is None:
        told["bbox"] = box
    told["segmentation"] = {"size": mask["size"], "counts": mask["counts"].decode("ascii")}
    return told


def _read_mask(
    row: Row, ids: np.ndarray | None, height: int, width: int, spend: Spend
) -> RLE | None:
    told = row.get("segmentation")
    if row.get("png") is not None:
        spend(height * width)
        return read_mask_png(_octets(row["png"]), height, width)
    if isinstance(told, dict):
        if list(told["size"]) != [height, width]:
            raise ValueError(f"its size is {list(told['size'])}, not [{height}, {width}]")
        return RLE(size=[height, width], counts=_counts(told["counts"], height * width))
    if told is not None:
        found = [_ring(ring) for ring in told]
        box = box_of_rings([ring for ring in found if len(ring)], height, width)
        if box is not None:
            spend((box[2] - box[0]) * (box[3] - box[1]))
        return mask_of_rings(found, height, width, has_holes=row.get("holes") is not None)
    if ids is not None:
        spend(height * width)
        counts = counts_of(ids == row["id"], 0, 0, height, width)
        return RLE(size=[height, width], counts=compress(counts))
    return None


def _counts(told: str | list[int], num_pixels: int) -> bytes:
    """Return COCO's string of counts. ValueError where they are none for so many pixels."""
    if isinstance(told, list):
        if min(told, default=0) < 0 or sum(told) != num_pixels:
            raise ValueError(f"its counts don't fill {num_pixels} pixels")
        return compress(told)
    characters = np.frombuffer(told.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if characters.size and (characters.min() < 0 or characters.max() > 63):
        raise ValueError("its counts have characters that COCO's have not")
    last = np.flatnonzero((characters & 0x20) == 0)
    if np.diff(last, prepend=-1).max(initial=0) > _MAX_CHARACTERS:
        raise ValueError("its counts have a number that is too large")
    counts = told.encode("ascii")
    values = decompress(counts)
    if values.min(initial=0) < 0 or values.sum() != num_pixels:
        raise ValueError(f"its counts don't fill {num_pixels} pixels")
    return counts


def _ring(told: list[float]) -> np.ndarray:
    if len(told) % 2:
        raise ValueError(f"a ring has {len(told)} numbers; x and y take turns")
    return np.array(told, dtype=np.float64).reshape(-1, 2)


def _octets(told: str) -> bytes:
    try:
        return base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the PNG is not base64") from None


def _box(runs: Columns) -> list[int]:
    if not len(runs.columns):
        return [0, 0, 0, 0]
    left, top = int(runs.columns[0]), int(runs.tops.min())
    width, height = int(runs.columns[-1]) + 1 - left, int(runs.bottoms.max()) - top
    return [left, top, width, height]


def _tell_natively(row: Row, masks: Masks, tolerance: float, spend: Spend) -> None:
    """Put a row's mask into the form that is asked for."""
    told = row.get("segmentation")
    if told is None or masks == "rle":
        return
    mask = RLE(size=told["size"], counts=told["counts"].encode("ascii"))
    height, width = mask["size"]
    if masks == "polygon":
        found = rings(columns_of(mask), height)
        outlines = [simplified_ring(points, tolerance) for points, _ in found]
        row["segmentation"] = [points.ravel().tolist() for points in outlines]
        row["holes"] = [index for index, (_, is_hole) in enumerate(found) if is_hole]
        return
    del row["segmentation"]
    spend(height * width)
    row["png"] = base64.b64encode(mask_png(mask)).decode("ascii")


def _partition(rows: list[Row], height: int, width: int) -> str:
    """Return the panoptic PNG of segments in base64, and take their own masks away."""
    ids = np.zeros((height, width), dtype=np.uint32)
    for row in rows:
        told = row.pop("segmentation", None)
        if told is None:
            raise ValueError("a segment has no mask to put into the PNG")
        if not 0 < row["id"] <= _MAX_SEGMENT_ID:
            raise ValueError(f"a segment's id is {row['id']}; it must be 1 to {_MAX_SEGMENT_ID}")
        crop, top, left = crop_of(RLE(size=told["size"], counts=told["counts"].encode("ascii")))
        part = ids[top : top + crop.shape[0], left : left + crop.shape[1]]
        if part[crop].any():
            raise ValueError(f"segment {row['id']} lies over another; a pixel has one segment")
        part[crop] = row["id"]
    return base64.b64encode(panoptic_png(ids)).decode("ascii")
