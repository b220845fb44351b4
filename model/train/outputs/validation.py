"""What a training is worth now and then: evaluated, and drawn, through the served `Predictor`."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from model.answers.drawing import encode_picture, overlay_instances
from model.checkpoints import checkpoint as checkpoints
from model.checkpoints.checkpoint import Checkpoint
from model.datasets.sources import Source, find_source, has_parts
from model.evaluation.data import EvaluationData, open_data
from model.evaluation.measure import Task, evaluate
from model.evaluation.nothing_found import why_no_numbers
from model.files import write_file
from model.pictures.decode import decode_image
from model.prediction.predictor import PredictOptions, Predictor
from model.train.outputs.keeper import Keeper, main_figure
from model.train.outputs.progress import Progress
from model.train.outputs.row_file import append_row, iterations_in, keep_rows_until
from model.train.state.resume import SaveError
from model.train.state.training import Training

logger = logging.getLogger(__name__)

EVALUATIONS_FILE = "evaluations.jsonl"
_DRAWN_FROM_SCORE = 0.3


class Validation:
    """Evaluates the present weights when it is called, draws samples and keeps the best.

    Every process calls it; the main one works while the others wait for its next step.
    """

    def __init__(
        self,
        data: EvaluationData,
        keeper: Keeper,
        training: Training,
        progress: Progress,
        *,
        num_drawn: int,
    ) -> None:
        self._data, self._keeper, self._training = data, keeper, training
        self._progress, self._num_drawn = progress, num_drawn
        if training.world.is_main:
            keep_rows_until(keeper.folder / EVALUATIONS_FILE, training.iteration)

    def __call__(self) -> None:
        """Write the report, the samples and, if they are the best so far, the weights.

        An evaluation that fails costs its own numbers: it is logged, and the run goes on.
        """
        if not self._training.world.is_main:
            return
        try:
            self._evaluate()
        except Exception:  # Whatever it is, hours of training are worth more.
            logger.exception(
                "the evaluation at iteration %d failed; training goes on", self._training.iteration
            )

    def catch_up(self) -> None:
        """Evaluate the weights that a run goes on from, if it should have and could not."""
        training, keeper = self._training, self._keeper
        if training.iteration == 0 or not training.is_due(training.recipe.evaluate_every):
            return
        if not training.world.is_main:
            return
        if training.iteration in iterations_in(keeper.folder / EVALUATIONS_FILE):
            return
        self()
        try:
            keeper.save_weights(training)
        except SaveError as error:
            logger.error("what the evaluation found is not saved: %s", error)

    def _evaluate(self) -> None:
        training, keeper = self._training, self._keeper
        checkpoint = keeper.checkpoint(training)
        predictor, report = measure(checkpoint, self._data, training.device, progress=False)
        score, figures = score_of(report)
        words = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        why_empty = why_no_numbers(report, self._data)
        level = logging.INFO if why_empty is None else logging.WARNING
        logger.log(level, "evaluation at iteration %d: %s", training.iteration, why_empty or words)
        training.score_threshold = usual_threshold(report)
        self._progress.record(figures, training.iteration)
        append_row(keeper.folder / EVALUATIONS_FILE, {"iteration": training.iteration, **report})
        samples = keeper.folder / "samples" / f"{training.iteration:07d}"
        _draw_samples(predictor, self._data, samples, self._num_drawn)
        if training.best is None or score > training.best:
            training.best = score
            try:
                keeper.save_best(training, figures)
            except SaveError as error:
                logger.error("the best weights are not saved: %s", error)


def open_validation(
    given: str | None, training_data: Sequence[str], *, crowds_are_objects: bool = False
) -> EvaluationData | None:
    """Return what to evaluate on: what is given, or the validation part of the first folder.

    None, said in the log, where there is no such part.

    Raises:
        ValueError: what is given cannot be read.
    """
    try:
        if given is None and not has_parts(Path(training_data[0])):
            raise ValueError("the training data is a file")
        source = find_source(given or training_data[0], split="val")
        if given is None and _is_training_part(source, training_data[0]):
            raise ValueError(f"{training_data[0]} has no part for validation")
    except ValueError as error:
        if given is not None:
            raise
        logger.info("nothing to evaluate on (%s); --eval-data names it", error)
        return None
    return open_data(
        source.images,
        annotations=source.annotations,
        panoptic=source.panoptic,
        panoptic_folder=source.panoptic_images,
        crowds_are_objects=crowds_are_objects,
    )


def _is_training_part(source: Source, folder: str) -> bool:
    try:
        return source == find_source(folder)
    except ValueError:
        return False


def measure(
    checkpoint: Checkpoint, data: EvaluationData, device: torch.device, *, progress: bool
) -> tuple[Predictor, dict[str, Any]]:
    """Return a checkpoint's predictor and its report; the random generators stay as they are."""
    with torch.random.fork_rng():
        model = checkpoints.build_model(checkpoint, device)
    predictor = Predictor(model, checkpoint.config, checkpoint.categories, device)
    with_stuff = checkpoint.config.is_panoptic and data.panoptic is not None
    task: Task = "both" if with_stuff else "instance"
    report = evaluate(predictor, data, task=task, common_classes=True, progress=progress)
    return predictor, report


def usual_threshold(report: dict[str, Any]) -> float | None:
    """Return the score that the network should be read with: that of the best F1.

    Masks decide, or boxes where no truth has a mask; rounded down to hundredths, so that what
    decided is kept. None where nothing could be found.
    """
    best = report["best_f1"]["mask"] or report["best_f1"]["box"]
    return None if best is None else math.floor(best["score_threshold"] * 100) / 100


def score_of(report: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Return what the best network has most of, and the figures for the curves.

    It is PQ of a panoptic network, else mask AP; 0 where there was nothing to find
    (`keeper.main_figure`).
    """
    figures = {
        f"{kind}_{name}": float(report[kind][name])
        for kind in ("box", "mask")
        for name in ("AP", "AP50")
        if kind in report and report[kind][name] is not None
    }
    panoptic = report.get("panoptic")
    if panoptic and panoptic["all"]["PQ"] is not None:
        figures["PQ"] = float(panoptic["all"]["PQ"])
    return main_figure(figures), figures


def _draw_samples(predictor: Predictor, data: EvaluationData, folder: Path, number: int) -> None:
    """Draw the instances found in the first so many pictures; what cannot be drawn is logged."""
    options = PredictOptions(score_threshold=_DRAWN_FROM_SCORE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in data.pictures[:number]:
            pixels = decode_image(picture.file.path.read_bytes())
            (found,) = predictor.segment([pixels], options)
            drawn = overlay_instances(pixels, found, predictor.categories)
            path = folder / f"{picture.file.path.stem}.jpg"
            write_file(path, encode_picture(drawn, "image/jpeg"))
    except (OSError, ValueError) as error:
        logger.warning("sample pictures are missing: %s", error)
