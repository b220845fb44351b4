"""CVAT's shapes, as its serverless functions answer with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.answers.dialects.rows import Crop, Image, Row, rows_of, run_lengths_of, tight_crop
from model.answers.json_answer import do_nothing
from model.masks.joined_ring import joined_ring

# CVAT tells every pixel of a mask's box as a number of its own: two characters each, and eight
# bytes of memory while they are written.
MAX_CROP_PIXELS = 2**25


class TooManyPixelsError(ValueError):
    """The masks have too many pixels to be told one by one; the text is for who asked."""


def cvat_shapes(
    image: Image, *, tolerance: float | None = None, before_each: Callable[[], None] = do_nothing
) -> list[dict[str, Any]]:
    """Return an image's rows as masks, polygons or, without masks, rectangles.

    A mask is the pixels of its crop, row by row, and the crop's box, whose last column and row
    belong to it. A mask has an outline too, which CVAT takes where it turns masks into polygons.
    A row whose mask is empty is left out: CVAT has no shape for it.

    Args:
        tolerance: polygons in place of masks, of one ring each, see `joined_ring`.
        before_each: is called before each row; what it raises ends the work.

    Raises:
        TooManyPixelsError: they would not fit into an answer.
    """
    shapes = []
    num_pixels = 0
    for row in rows_of(image):
        before_each()
        mask = run_lengths_of(row)
        if mask is None:
            x, y, width, height = row["bbox"]
            shapes.append(_shape(row, "rectangle", [x, y, x + width, y + height]))
            continue
        ring = joined_ring(mask, tolerance or 0)
        if not len(ring):
            continue
        shape = _shape(row, "mask" if tolerance is None else "polygon", ring.ravel().tolist())
        if tolerance is None:
            crop = tight_crop(mask)
            assert crop is not None, "a mask with an outline has pixels"
            num_pixels += crop.pixels.size
            if num_pixels > MAX_CROP_PIXELS:
                raise TooManyPixelsError(
                    f"the boxes of its masks have more than {MAX_CROP_PIXELS} pixels, each of "
                    "which format=cvat tells as a number; ask for fewer instances, a smaller "
                    "picture or masks=polygon"
                )
            shape["mask"] = _pixels(crop)
        shapes.append(shape)
    return shapes


def _shape(row: Row, kind: str, points: list[float]) -> dict[str, Any]:
    shape = {"label": row["category"], "type": kind, "points": points}
    return shape if row.get("score") is None else {"confidence": row["score"], **shape}


def _pixels(crop: Crop) -> list[int]:
    pixels: list[int] = crop.pixels.view("u1").ravel().tolist()
    return [*pixels, crop.left, crop.top, crop.right - 1, crop.bottom - 1]
