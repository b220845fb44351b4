"""Pictures of any sizes, run in batches of one canvas each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from model.config import InputConfig
from model.geometry import canvas_size
from model.pictures.pixels import Picture, pixels_of

_Options = TypeVar("_Options")
_Result = TypeVar("_Result")


def run_by_canvas(
    run: Callable[[list[np.ndarray], list[_Options]], list[_Result]],
    pictures: Sequence[Picture],
    options: Sequence[_Options],
    *,
    config: InputConfig,
    batch_size: int,
) -> list[_Result]:
    """Return the results in the order of the pictures.

    Pictures are read as their turn comes and dropped once their batch has run, so that a
    thousand files need no more memory than a few batches.

    Args:
        run: gives one result for each picture of a batch; takes pixels and options.
        options: one for each picture.
        batch_size: the most pictures in a batch.
    Raises:
        ValueError: a picture is none, or the batch size is less than 1.
        OSError: a file cannot be read.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
    results: dict[int, _Result] = {}

    def run_batch(images: dict[int, np.ndarray]) -> None:
        found = run(list(images.values()), [options[number] for number in images])
        results.update(zip(images, found, strict=True))

    waiting: defaultdict[tuple[int, int], dict[int, np.ndarray]] = defaultdict(dict)
    for number in range(len(pictures)):
        image = _pixels(pictures, number)
        canvas = canvas_size(image.shape[0], image.shape[1], config)
        waiting[canvas][number] = image
        if len(waiting[canvas]) == batch_size:
            run_batch(waiting.pop(canvas))
    for images in waiting.values():
        run_batch(images)
    return [results[number] for number in range(len(pictures))]


def _pixels(pictures: Sequence[Picture], number: int) -> np.ndarray:
    try:
        return pixels_of(pictures[number])
    except (OSError, ValueError) as error:
        if len(pictures) > 1:
            error.add_note(f"It is pictures[{number}] of {len(pictures)}.")
        raise
