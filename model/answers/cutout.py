"""What was found, cut out of its picture: RGBA, transparent where the masks are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.answers.json_answer import do_nothing, told_order
from model.masks.run_columns import columns_of, row_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.categories import Categories
    from model.structures import Instances, PanopticSegmentation


class NothingToCutError(ValueError):
    """There is no such instance or segment, or no pixel to crop to."""


def cut_out_instances(
    image: np.ndarray,
    instances: Instances,
    categories: Categories,
    *,
    number: int | None,
    crop: bool,
    before_each: Callable[[], None] = do_nothing,
) -> np.ndarray:
    """Return the instances' pixels: uint8 (h, w, 4), edges as hard as the masks'.

    Args:
        image: (H, W, 3) RGB uint8, the picture that the instances were found in.
        instances: with masks.
        number: of the one that is wanted, its place in the answer, from 0; None: all together.
        crop: to the least box with all of these pixels; else in the place of the whole picture.
        before_each: is called before each instance; what it raises ends the work.
    Raises:
        NothingToCutError: there is no such instance, or no pixel to crop to.
    """
    assert instances.masks is not None
    order = told_order(instances, categories)
    if number is not None:
        if number >= len(order):
            raise NothingToCutError(
                f"instance is {number}; {_found(len(order), 'instance')}, counted from 0"
            )
        order = [order[number]]
    covered = np.zeros(image.shape[:2], np.uint8)
    for index in order:
        before_each()
        for top, left, block in row_blocks(columns_of(instances.masks[index])):
            covered[top : top + block.shape[0], left : left + block.shape[1]] |= block
    return _cut(image, covered.view(bool), crop)


def cut_out_segments(
    image: np.ndarray, result: PanopticSegmentation, *, number: int | None, crop: bool
) -> np.ndarray:
    """Return the segments' pixels, as `cut_out_instances`; `number` is a segment's id."""
    if number is None:
        return _cut(image, result.segment_ids > 0, crop)
    ids = [segment.id for segment in result.segments]
    if number not in ids:
        told = ", ".join(map(str, ids)) or "none"
        raise NothingToCutError(f"segment is {number}; the ids of this picture are: {told}")
    return _cut(image, result.segment_ids == number, crop)


def _cut(image: np.ndarray, covered: np.ndarray, crop: bool) -> np.ndarray:
    rows = columns = slice(None)
    if crop:
        (ys,), (xs,) = np.nonzero(covered.any(axis=1)), np.nonzero(covered.any(axis=0))
        if len(ys) == 0:
            raise NothingToCutError("there is no pixel to crop to; leave crop out")
        rows, columns = slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)
    part = covered[rows, columns, None]
    # Black where nothing shows: what is hidden must not leave the server, and it packs well.
    colours = image[rows, columns] * part
    return np.concatenate((colours, part * np.uint8(255)), axis=2)


def _found(count: int, kind: str) -> str:
    return (
        f"{count or 'no'} {kind}{'' if count == 1 else 's'} {'was' if count == 1 else 'were'} found"
    )
