"""Segment pictures from the command line: `python -m model.predict IMAGE… [options]`.

Exit code 0: all done; 1: some pictures could not be read, the others are done; 2: bad
arguments or weights; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from model.answer import document, model_member, panoptic_answer, segment_answer
from model.draw import encode_picture, overlay_instances, overlay_panoptic
from model.picture_files import PictureFile, find_pictures, overlay_paths, read_batches, write_file
from model.predict_arguments import MASKS, parse_arguments

if TYPE_CHECKING:
    from model.predictor import PredictOptions, Predictor

_BATCH_SIZE = {"cuda": 8}  # on a processor a batch gains nothing


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What to do with every picture, and with what."""

    predictor: Predictor
    task: str
    masks: Any
    options: PredictOptions
    overlays: dict[PictureFile, Path]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return _run(args)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except (ValueError, OSError) as error:
        _say(f"python -m model.predict: {error}")
        return 2


def open_predictor(args: argparse.Namespace) -> tuple[Predictor, str, str]:
    """Return the predictor that the arguments ask for, its model's name and weights' digest.

    Raises:
        ValueError: no such model, categories or device.
    """
    # These take seconds to import; --help and a misspelt argument need not wait for them.
    from model import zoo
    from model.predictor import Predictor

    _check_device(args.device)
    checkpoint = zoo.open_model(
        args.weights or zoo.DEFAULT_MODEL,
        config=args.config,
        overrides=[part for pair in args.override for part in pair],
        categories=args.categories,
    )
    predictor = Predictor.from_checkpoint(checkpoint, args.device)
    return predictor, checkpoint.config.name, checkpoint.sha256


def _run(args: argparse.Namespace) -> int:
    pictures = find_pictures(args.images, recursive=args.recursive)
    overlays = overlay_paths(pictures, args.overlay) if args.overlay else {}
    if args.output and (args.output.is_dir() or not os.access(args.output.parent, os.W_OK)):
        raise ValueError(f"--output {args.output} must be a file in a folder open to writing")
    predictor, name, sha256 = open_predictor(args)
    job = _make_job(args, predictor, overlays)
    batch_size = args.batch_size or _BATCH_SIZE.get(predictor.device.type, 1)
    answers: list[dict[str, Any]] = []
    with tqdm(total=len(pictures), unit="picture", file=sys.stderr, disable=None) as bar:
        for batch in read_batches(pictures, batch_size):
            for picture, pixels in batch:
                if isinstance(pixels, str):
                    _say(f"{picture.name}: {pixels}")
            good = [(p, pixels) for p, pixels in batch if isinstance(pixels, np.ndarray)]
            answers += _panoptic(job, good) if job.task == "panoptic" else _segment(job, good)
            bar.update(len(batch))
    text = json.dumps(document(model_member(name, sha256, predictor.categories), answers)) + "\n"
    if args.output:
        write_file(args.output, text.encode())
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    num_failed = len(pictures) - len(answers)
    _say(_summary(answers, num_failed))
    return 1 if num_failed else 0


def _make_job(
    args: argparse.Namespace, predictor: Predictor, overlays: dict[PictureFile, Path]
) -> _Job:
    from model.predictor import PredictOptions

    task = args.task or ("panoptic" if predictor.config.is_panoptic else "instance")
    if task == "panoptic" and not predictor.config.is_panoptic:
        raise ValueError(f"--task panoptic: {predictor.config.name} has no semantic head")
    if args.masks not in MASKS[task]:
        raise ValueError(f"--masks {args.masks}: task {task} gives one of {', '.join(MASKS[task])}")
    names = [name for name in (args.classes or "").split(",") if name.strip()]
    return _Job(
        predictor=predictor,
        task=task,
        masks=args.masks,
        options=PredictOptions(
            score_threshold=args.score_threshold,
            max_instances=args.max_instances,
            category_ids=frozenset(predictor.categories.find(n).id for n in names) or None,
            masks=args.masks in ("rle", "polygon") or (task == "instance" and bool(overlays)),
        ),
        overlays=overlays,
    )


def _segment(job: _Job, pictures: list[tuple[PictureFile, np.ndarray]]) -> list[dict[str, Any]]:
    categories = job.predictor.categories
    results = job.predictor.segment([image for _, image in pictures], job.options)
    answers = []
    for (picture, image), result in zip(pictures, results, strict=True):
        answers.append(segment_answer(result, categories, image_id=picture.name, masks=job.masks))
        if picture in job.overlays:
            _write_overlay(job.overlays[picture], overlay_instances(image, result, categories))
    return answers


def _panoptic(job: _Job, pictures: list[tuple[PictureFile, np.ndarray]]) -> list[dict[str, Any]]:
    categories = job.predictor.categories
    results = job.predictor.panoptic([image for _, image in pictures], job.options)
    answers = []
    for (picture, image), result in zip(pictures, results, strict=True):
        answers.append(panoptic_answer(result, categories, image_id=picture.name, masks=job.masks))
        if picture in job.overlays:
            _write_overlay(job.overlays[picture], overlay_panoptic(image, result, categories))
    return answers


def _write_overlay(path: Path, drawn: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_png = path.suffix.lower() == ".png"
    write_file(path, encode_picture(drawn, "image/png" if is_png else "image/jpeg"))


def _check_device(name: str) -> None:
    import torch

    if name == "auto":
        return
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device {name}: give auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices")


def _summary(answers: list[dict[str, Any]], num_failed: int) -> str:
    kind = "segments" if any("segments" in answer for answer in answers) else "instances"
    num_found = sum(len(answer[kind]) for answer in answers)
    parts = [_count(len(answers), "picture"), _count(num_found, kind.removesuffix("s"))]
    if num_failed:
        parts.append(f"{num_failed} failed")
    return ", ".join(parts)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
