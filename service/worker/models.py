"""The models of a worker process, on its device."""

from __future__ import annotations

import gc
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.geometry import canvas_size
from model.prediction.predictor import Predictor
from model.zoo.open_model import open_model
from service.configuration.machine import available_cores
from service.engine import ModelInfo
from service.pool.messages import Load, ModelToLoad
from service.worker.failures import Failure, failure_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that answers, and what clients are told of it."""

    info: ModelInfo
    predictor: Predictor


def open_device(device: str, specs: Sequence[ModelToLoad]) -> dict[str, LoadedModel]:
    """Make a device this process's own; return the models on it by name, in the order given.

    Args:
        device: "cpu" or "cuda:N".
    Raises:
        ValueError, OSError: the device or a model cannot be had, or two models share a name;
            the text says why.
    """
    _check_device(device)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_cores())
    torch.backends.cudnn.benchmark = False  # the kernel must not depend on the company
    if device != "cpu":
        torch.cuda.set_device(device)
    models: dict[str, LoadedModel] = {}
    for spec in specs:
        model = _load(spec, device)
        if model.info.name in models:
            raise ValueError(f"two models are called {model.info.name!r}; give one another name")
        models[model.info.name] = model
    return models


def _load(spec: ModelToLoad, device: str) -> LoadedModel:
    checkpoint = open_model(
        spec.weights,
        config=spec.config,
        overrides=spec.overrides,
        categories=None if spec.categories is None else Path(spec.categories),
    )
    predictor = Predictor.from_checkpoint(checkpoint, device)
    info = ModelInfo(
        name=spec.name or checkpoint.name,
        sha256=checkpoint.sha256,
        device=str(predictor.device),
        precision="float32",
        config=predictor.config,
        categories=predictor.categories,
    )
    return LoadedModel(info=info, predictor=predictor)


def warm_up_all(models: Mapping[str, LoadedModel], load: Load) -> dict[str, tuple[int, float]]:
    """Warm up the models; return by name what `warm_up` measured, where something ran."""
    warmed = {}
    for name, model in models.items():
        measured = warm_up(
            model,
            load.warmup_sizes,
            max_images=load.max_batch_images,
            max_pixels=load.max_batch_pixels,
        )
        if measured is not None:
            warmed[name] = measured
    return warmed


def warm_up(
    model: LoadedModel, sizes: Sequence[tuple[int, int]], *, max_images: int, max_pixels: int
) -> tuple[int, float] | None:
    """Run a grey picture of each canvas through all that the model can do.

    On a CUDA device the largest batch of it, too: that reserves the memory and picks the
    kernels which it needs. What does not fit into the memory is left out.

    Args:
        sizes: (height, width) of pictures.
        max_images, max_pixels: limits of a batch; pixels are those of the padded canvases.
    Returns:
        The padded pixels of the largest canvas that ran, and the least seconds that one of its
        tasks took for each pixel; None if nothing ran.
    """
    predictor = model.predictor
    largest, least_s = 0, math.inf
    by_canvas = {canvas_size(*size, predictor.config.input): size for size in sizes}
    for (height, width), size in by_canvas.items():
        numbers = {1}
        if predictor.device.type == "cuda":
            numbers.add(max(1, min(max_images, max_pixels // (height * width))))
        for number in sorted(numbers):
            started = time.perf_counter()
            if not _has_run(model, [np.full((*size, 3), 128, dtype=np.uint8)] * number):
                log.warning("no memory to warm up", extra={"size": size, "num_images": number})
                free_memory(predictor.device)
                continue
            task_s = (time.perf_counter() - started) / len(model.info.tasks)
            largest = max(largest, height * width)
            least_s = min(least_s, task_s / (number * height * width))
    return (largest, least_s) if largest else None


def device_bytes(device: str) -> int:
    """Return the bytes that this process holds on a device, 0 on the CPU."""
    return torch.cuda.memory_reserved(device) if device != "cpu" else 0


def free_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _has_run(model: LoadedModel, images: Sequence[np.ndarray]) -> bool:
    """Run pictures through all that the model can do; return whether there was memory for it."""
    try:
        batch = model.predictor.prepare(images)
        model.predictor.segment_batch(batch)
        if "panoptic" in model.info.tasks:
            model.predictor.panoptic_batch(batch)
    except Exception as error:
        if failure_of(error) is not Failure.MEMORY:
            raise
        return False
    return True


def _check_device(device: str) -> None:
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return
    count = torch.cuda.device_count()
    if kind != "cuda" or not number.isdecimal() or int(number) >= count:
        raise ValueError(f"the device is {device!r}; this machine shows {count} CUDA devices")
