"""Measures a predictor on a data set: box and mask AP, panoptic quality.

Pictures pass one batch at a time, the next being decoded meanwhile; of their results only what
the metrics need is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from model.categories import Categories
from model.datasets.panoptic_file import TrueSegment
from model.evaluation.average_precision import MAX_DETECTIONS
from model.evaluation.data import EvaluationData, Picture
from model.evaluation.report import data_section, merge, model_section, notes, pictures_section
from model.evaluation.scores import InstanceScores, PartitionScores
from model.evaluation.shared_classes import shared_classes
from model.evaluation.truth import true_objects, true_partition
from model.geometry import canvas_size
from model.pictures.files import read_batches
from model.prediction.options import PredictOptions, usual_batch_size
from model.prediction.predictor import Predictor
from model.prediction.stages import StageTimes
from model.structures import Instances, PanopticSegmentation

Task = Literal["instance", "panoptic", "both"]


@dataclass(frozen=True, kw_only=True)
class _Example:
    """One picture that could be read; its true partition where that is measured."""

    picture: Picture
    pixels: np.ndarray
    partition: tuple[np.ndarray, list[TrueSegment]] | None


@dataclass(kw_only=True)
class _Run:
    """An evaluation under way."""

    predictor: Predictor
    data: EvaluationData
    instances: InstanceScores | None
    partitions: PartitionScores | None
    on_result: Callable[[dict[str, Any]], None] | None
    stages: StageTimes = field(default_factory=StageTimes)
    failed: list[dict[str, str]] = field(default_factory=list)
    measured: list[Picture] = field(default_factory=list)


def evaluate(
    predictor: Predictor,
    data: EvaluationData,
    *,
    task: Task = "instance",
    limit: int | None = None,
    batch_size: int | None = None,
    common_classes: bool = False,
    on_result: Callable[[dict[str, Any]], None] | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Return a JSON-ready report on a predictor, as it serves: its own thresholds, 100 instances.

    Numbers are 0 to 1, None where there was nothing to find: "box" and "mask" hold COCO's
    twelve, "panoptic" PQ, SQ and RQ of "all", "things" and "stuff". Pictures that cannot be
    read count for nothing and are listed in "pictures", "failed".

    Args:
        task: "instance" measures AP, "panoptic" PQ.
        limit: the first so many pictures of the file only.
        batch_size: None takes 8 on CUDA, else 1.
        common_classes: leave out categories that only the model or only the data has.
        on_result: receives each detection as a row of COCO's results file.
        progress: show a bar on standard error.

    Raises:
        ValueError: the data or the network lacks what the task needs, the categories differ,
            or not one picture could be read.
    """
    run = _start(predictor, data, task, common_classes, on_result)
    chosen = data.pictures[:limit]
    batch_size = batch_size or usual_batch_size(predictor.device.type)
    quiet = None if progress else True
    with (
        run.stages.measure("total"),
        tqdm(total=len(chosen), unit="picture", file=sys.stderr, disable=quiet) as bar,
    ):
        for examples, num_pictures in _batches(run, chosen, batch_size):
            _measure(run, examples)
            bar.update(num_pictures)
    if not run.measured:
        first = f"; {run.failed[0]['file_name']}: {run.failed[0]['reason']}" if run.failed else ""
        raise ValueError(f"none of {len(chosen)} pictures could be measured{first}")
    return _report(run, task, chosen)


def _start(
    predictor: Predictor,
    data: EvaluationData,
    task: Task,
    common_classes: bool,
    on_result: Callable[[dict[str, Any]], None] | None,
) -> _Run:
    if task not in get_args(Task):
        raise ValueError(f"task is {task!r}; it must be one of {', '.join(get_args(Task))}")
    model = predictor.categories
    instances = partitions = None
    if task != "panoptic":
        if data.instances is None:
            raise ValueError(f"task {task} needs an instances file")
        truth = data.instances
        classes = shared_classes(
            Categories(name=model.name, things=model.things),
            Categories(name=truth.name, things=truth.categories.things),
            labelled_ids=data.labelled_ids,
            only_common=common_classes,
        )
        instances = InstanceScores(classes, model)
    if task != "instance":
        if data.panoptic is None:
            raise ValueError(f"task {task} needs a panoptic file and the folder of its maps")
        if not predictor.config.is_panoptic:
            raise ValueError(f"task {task}: {predictor.config.name} has no semantic head")
        classes = shared_classes(model, data.panoptic.categories, only_common=common_classes)
        partitions = PartitionScores(classes, model)
    return _Run(
        predictor=predictor,
        data=data,
        instances=instances,
        partitions=partitions,
        on_result=on_result,
    )


def _batches(
    run: _Run, chosen: Sequence[Picture], batch_size: int
) -> Iterator[tuple[list[_Example], int]]:
    """Yield what can be read of each batch, and its full size; neighbours share a canvas."""
    size = run.predictor.config.input
    ordered = sorted(chosen, key=lambda p: canvas_size(p.height, p.width, size))
    batches = read_batches([picture.file for picture in ordered], batch_size)
    for start in range(0, len(ordered), batch_size):
        pictures = ordered[start : start + batch_size]
        with run.stages.measure("decode"):
            batch = next(batches)
            examples = []
            for picture, (_, pixels) in zip(pictures, batch, strict=True):
                example = _example(run, picture, pixels)
                if isinstance(example, _Example):
                    examples.append(example)
                else:
                    run.failed.append({"file_name": picture.file.name, "reason": example})
        yield examples, len(batch)


def _example(run: _Run, picture: Picture, pixels: np.ndarray | str) -> _Example | str:
    """Return a picture ready to be measured, or why it cannot be."""
    if isinstance(pixels, str):
        return pixels
    height, width = pixels.shape[:2]
    if (height, width) != (picture.height, picture.width):
        return f"it is {width}×{height}, its annotations are for {picture.width}×{picture.height}"
    partition = None
    if run.partitions is not None:
        truth = true_partition(run.data, picture)
        if isinstance(truth, str):
            return truth
        partition = truth
    return _Example(picture=picture, pixels=pixels, partition=partition)


def _measure(run: _Run, examples: Sequence[_Example]) -> None:
    if not examples:
        return
    run.measured += [example.picture for example in examples]
    instances, partitions = _predict(run, [example.pixels for example in examples])
    with run.stages.measure("score"):
        if run.instances is not None:
            for example, found in zip(examples, instances, strict=True):
                truth = true_objects(example.picture)
                rows = run.instances.add(example.picture, truth, found)
                if run.on_result is not None:
                    for row in rows:
                        run.on_result(row)
        if run.partitions is not None:
            for example, partition in zip(examples, partitions, strict=True):
                assert example.partition is not None
                run.partitions.add(example.partition, partition)


def _predict(
    run: _Run, images: Sequence[np.ndarray]
) -> tuple[Sequence[Instances], Sequence[PanopticSegmentation]]:
    """Return the pictures' instances and partitions, none of what is not measured."""
    predictor = run.predictor
    how: Any = {"stages": run.stages, "batch_size": len(images)}
    if run.partitions is None:
        assert run.instances is not None
        return predictor.segment(images, _segment_options(run.instances), **how), ()
    panoptic_options = PredictOptions(category_ids=run.partitions.classes.ids, masks=False)
    if run.instances is None:
        return (), predictor.panoptic(images, panoptic_options, **how)
    both = predictor.segment_and_panoptic(
        images, _segment_options(run.instances), panoptic_options, **how
    )
    return [instances for instances, _ in both], [partition for _, partition in both]


def _segment_options(scores: InstanceScores) -> PredictOptions:
    return PredictOptions(max_instances=MAX_DETECTIONS, category_ids=scores.classes.ids)


def _report(run: _Run, task: Task, chosen: Sequence[Picture]) -> dict[str, Any]:
    parts = {"instance": run.instances, "panoptic": run.partitions}
    scores = {name: part for name, part in parts.items() if part is not None}
    numbers = merge([part.report() for part in scores.values()])
    classes = {name: part.classes for name, part in scores.items()}
    pictures = pictures_section(run.data, chosen, run.measured, run.failed)
    seconds = dict(run.stages.seconds)
    return {
        "task": task,
        **numbers,
        "classes": {name: shared.to_dict() for name, shared in classes.items()},
        "pictures": pictures,
        "seconds": seconds,
        "pictures_per_second": len(run.measured) / seconds["total"],
        "data": data_section(run.data),
        "model": model_section(run.predictor.config, run.predictor.categories),
        "notes": notes(pictures, run.measured, numbers["counts"], classes),
    }
