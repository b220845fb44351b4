"""The real worker process, with a network that fails on pictures of certain colours.

A picture whose upper left corner is plain in one of these colours is answered only after the
fault, if at all; others are answered as always. The corner is looked at on the network's input,
so a fault strikes where a real one would: in a batch, with whatever company is in it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import torch

from model.prediction.predictor import Predictor
from model.structures import DensePredictions, ImageBatch
from service.worker import process as worker_process

# The same read backwards, as some networks take blue first.
HANG = (250, 10, 250)  # the forward pass never ends
EXIT = (10, 250, 10)  # the process ends in the middle
SEGV = (10, 130, 10)  # ... by a signal of its own
OUT_OF_MEMORY = (200, 60, 200)  # however small the batch
OUT_OF_MEMORY_IN_COMPANY = (60, 200, 60)  # only with others in the batch
REALLY_OUT_OF_MEMORY = (120, 240, 120)  # an allocation that no machine can satisfy
DEFECT = (240, 120, 240)  # an exception that nobody foresaw

_CORNER = 6
_TOLERANCE = 4.0


def corner_colours(predictor: Predictor, batch: ImageBatch) -> list[tuple[float, ...] | None]:
    """Return the colour of each picture's corner, 0 to 255, or None where it is not plain."""
    mean = torch.tensor(predictor.config.input.pixel_mean)[:, None, None]
    std = torch.tensor(predictor.config.input.pixel_std)[:, None, None]
    found: list[tuple[float, ...] | None] = []
    for picture in batch.pixels.cpu():
        corner = picture[:, :_CORNER, :_CORNER] * std + mean
        plain = float((corner.amax(dim=(1, 2)) - corner.amin(dim=(1, 2))).max()) < _TOLERANCE
        found.append(tuple(corner.mean(dim=(1, 2)).tolist()) if plain else None)
    return found


def fail(colour: tuple[float, ...], num_pictures: int) -> None:
    """Do what the colour says."""

    def is_(fault: tuple[int, int, int]) -> bool:
        return max(abs(a - b) for a, b in zip(colour, fault, strict=True)) < _TOLERANCE

    if is_(HANG):
        while True:
            time.sleep(1)
    if is_(EXIT):
        os._exit(7)
    if is_(SEGV):
        os.kill(os.getpid(), signal.SIGSEGV)
    if is_(OUT_OF_MEMORY) or (is_(OUT_OF_MEMORY_IN_COMPANY) and num_pictures > 1):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    if is_(REALLY_OUT_OF_MEMORY):
        torch.empty(2**50, dtype=torch.uint8)
    if is_(DEFECT):
        raise IndexError("nobody foresaw this")


_forward = Predictor.forward


def forward(self: Predictor, batch: ImageBatch, **options: Any) -> DensePredictions:
    for colour in corner_colours(self, batch):
        if colour is not None:
            fail(colour, len(batch.output_sizes))
    predictions: DensePredictions = _forward(self, batch, **options)
    return predictions


if __name__ == "__main__":
    torch.set_num_threads(1)  # the pictures are tiny
    Predictor.forward = forward  # type: ignore[method-assign]
    sys.exit(worker_process.main())
