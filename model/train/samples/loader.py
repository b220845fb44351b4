"""Batches, made by worker processes, for ever."""
# N pictures, G objects of all pictures, C classes, M mask side

from __future__ import annotations

import signal
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.geometry import SIZE_DIVISOR
from model.train.recipes.recipe import Recipe
from model.train.samples.batch import TrainingBatch, TrainingSample
from model.train.samples.dataset import CocoDataset, SampleKey
from model.train.samples.order import batches
from model.train.samples.scene import UNKNOWN

_BASIS_STRIDE = 8


class PackedBatch(NamedTuple):
    """A batch in few tensors, as it travels between processes; objects of all pictures in a row."""

    pixels: Tensor
    sizes: list[tuple[int, int]]
    counts: list[int]
    boxes_xyxy: Tensor
    classes: Tensor
    masks: Tensor
    has_mask: Tensor
    basis_labels: Tensor
    semantic_labels: Tensor | None
    labelled_classes: Tensor
    image_ids: list[int | str]


def build_loader(
    dataset: CocoDataset,
    recipe: Recipe,
    *,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 2,
    start_iteration: int = 0,
) -> Loader:
    """Return this process's part of the batches, without end.

    A batch has `recipe.batch_size` pictures over all processes, all wide or all high.

    Args:
        num_workers: processes that decode and rasterise; 0 does it here.
        start_iteration: steps done before, of `recipe.accumulate` batches each.

    Raises:
        ValueError: the batch size cannot be shared among the processes.
    """
    if recipe.batch_size < 1 or recipe.batch_size % world_size:
        raise ValueError(
            f"a batch of {recipe.batch_size} cannot be shared evenly by {world_size} processes"
        )
    share = recipe.batch_size // world_size
    mine = slice(rank * share, (rank + 1) * share)
    keys = batches(
        dataset.is_wide,
        recipe.batch_size,
        recipe.seed,
        start=start_iteration * recipe.accumulate,
    )
    stoppable = _Stoppable(dataset)
    order = _Order(keys, mine)
    loader = DataLoader(
        stoppable,
        batch_sampler=order,
        collate_fn=pack,
        num_workers=num_workers,
        worker_init_fn=_start_worker,
        multiprocessing_context="spawn" if num_workers else None,
        persistent_workers=num_workers > 0,
        prefetch_factor=4 if num_workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return Loader(iter(loader), order, stoppable)


class Loader(Iterator[TrainingBatch]):
    """Batches without end; its workers live until it is closed or let go, or the program ends."""

    def __init__(self, packed: Iterator[PackedBatch], order: _Order, stoppable: _Stoppable) -> None:
        self._packed = packed
        self._finalizer = weakref.finalize(self, _finish, packed, order, stoppable)

    def __next__(self) -> TrainingBatch:
        return unpack(next(self._packed))

    def close(self) -> None:
        """End the workers, after the samples that they are at."""
        self._finalizer()


def _finish(packed: Iterator[PackedBatch], order: _Order, stoppable: _Stoppable) -> None:
    # A worker that is ended while it hands over a batch aborts, loudly: let all finish first.
    order.stop()
    stoppable.stop()
    while True:
        try:
            next(packed)
        except _StoppedError:
            continue
        except (StopIteration, RuntimeError, ValueError):  # done, or broken already
            break


class _Order:
    """This process's part of the batches' keys, until it is stopped."""

    def __init__(self, keys: Iterator[list[SampleKey]], mine: slice) -> None:
        self._keys = keys
        self._mine = mine
        self._is_stopped = False

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for keys in self._keys:
            if self._is_stopped:
                return
            yield keys[self._mine]

    def stop(self) -> None:
        self._is_stopped = True


class _StoppedError(Exception):
    """A worker gave up a batch because nobody waits for it any more."""


class _Stoppable(Dataset[TrainingSample]):
    """The data set, until it is stopped: then its workers make no more samples."""

    def __init__(self, dataset: CocoDataset) -> None:
        self._dataset = dataset
        self._is_stopped = torch.zeros(1, dtype=torch.uint8)
        self._is_stopped.share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, key: SampleKey) -> TrainingSample:
        if self._is_stopped[0]:
            raise _StoppedError
        return self._dataset[key]

    def stop(self) -> None:
        self._is_stopped[0] = 1


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C is the loop's to answer: it may want to finish its step and save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def pack(samples: Sequence[TrainingSample]) -> PackedBatch:
    """Put samples on one canvas, a multiple of 32 in height and width."""
    sizes = [(int(s.pixels.shape[1]), int(s.pixels.shape[2])) for s in samples]
    height, width = (
        -(-max(side) // SIZE_DIVISOR) * SIZE_DIVISOR for side in zip(*sizes, strict=True)
    )
    pixels = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8)
    basis_size = (height // _BASIS_STRIDE, width // _BASIS_STRIDE)
    basis = torch.zeros(len(samples), *basis_size, dtype=samples[0].basis_labels.dtype)
    semantic = None
    if any(s.semantic_labels is not None for s in samples):
        semantic = torch.full((len(samples), height, width), UNKNOWN, dtype=torch.uint8)
    for i, (sample, (h, w)) in enumerate(zip(samples, sizes, strict=True)):
        pixels[i, :, :h, :w] = sample.pixels
        rows, columns = sample.basis_labels.shape
        basis[i, :rows, :columns] = sample.basis_labels
        if semantic is not None and sample.semantic_labels is not None:
            semantic[i, :h, :w] = sample.semantic_labels
    return PackedBatch(
        pixels=pixels,
        sizes=sizes,
        counts=[len(s.classes) for s in samples],
        boxes_xyxy=torch.cat([s.boxes_xyxy for s in samples]),
        classes=torch.cat([s.classes for s in samples]),
        masks=torch.cat([s.masks for s in samples]),
        has_mask=torch.cat([s.has_mask for s in samples]),
        basis_labels=basis,
        semantic_labels=semantic,
        labelled_classes=torch.stack([s.labelled_classes for s in samples]),
        image_ids=[s.image_id for s in samples],
    )


def unpack(packed: PackedBatch) -> TrainingBatch:
    """Return the batch; each picture's objects are views of the packed ones."""
    return TrainingBatch(
        pixels=packed.pixels,
        sizes=[(height, width) for height, width in packed.sizes],  # pinning makes them lists
        boxes_xyxy=list(torch.split(packed.boxes_xyxy, packed.counts)),
        classes=list(torch.split(packed.classes, packed.counts)),
        masks=list(torch.split(packed.masks, packed.counts)),
        has_mask=list(torch.split(packed.has_mask, packed.counts)),
        basis_labels=packed.basis_labels,
        semantic_labels=packed.semantic_labels,
        labelled_classes=packed.labelled_classes,
        image_ids=packed.image_ids,
    )
