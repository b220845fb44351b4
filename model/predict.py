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
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tqdm import tqdm

from model.answers.dialects.choice import Dialect, Masks, join, masks_of, native_masks, tell
from model.answers.drawing import encode_picture, overlay_instances, overlay_panoptic
from model.answers.json_answer import model_member, panoptic_answer, segment_answer
from model.command_line import OneLineParser, add_model_options, fraction, open_predictor, positive
from model.files import can_be_written, write_file
from model.pictures.files import PictureFile, find_pictures, overlay_paths, read_batches
from model.prediction.options import usual_batch_size

if TYPE_CHECKING:
    from model.prediction.predictor import PredictOptions, Predictor


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What to do with every picture, and with what."""

    predictor: Predictor
    task: str
    masks: Any
    dialect: Dialect
    options: PredictOptions
    batch_size: int
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


def _run(args: argparse.Namespace) -> int:
    pictures = find_pictures(args.images, recursive=args.recursive)
    overlays = overlay_paths(pictures, args.overlay) if args.overlay else {}
    if args.output and not can_be_written(args.output):
        raise ValueError(f"--output {args.output} must be a file in a folder open to writing")
    predictor, name, sha256 = open_predictor(args)
    job = _make_job(args, predictor, overlays)
    answers: list[dict[str, Any]] = []
    with tqdm(total=len(pictures), unit="picture", file=sys.stderr, disable=None) as bar:
        for batch in read_batches(pictures, job.batch_size):
            for picture, pixels in batch:
                if isinstance(pixels, str):
                    _say(f"{picture.name}: {pixels}")
            good = [(p, pixels) for p, pixels in batch if isinstance(pixels, np.ndarray)]
            answers += _panoptic(job, good) if job.task == "panoptic" else _segment(job, good)
            bar.update(len(batch))
    text = _told(job, model_member(name, sha256, predictor.categories), answers)
    if args.output:
        write_file(args.output, text)
    else:
        sys.stdout.write(text.decode())
        sys.stdout.flush()
    num_failed = len(pictures) - len(answers)
    _say(_summary(answers, num_failed))
    return 1 if num_failed else 0


def _make_job(
    args: argparse.Namespace, predictor: Predictor, overlays: dict[PictureFile, Path]
) -> _Job:
    from model.prediction.predictor import PredictOptions

    task = args.task or ("panoptic" if predictor.config.is_panoptic else "instance")
    if task == "panoptic" and not predictor.config.is_panoptic:
        raise ValueError(f"--task panoptic: {predictor.config.name} has no semantic head")
    possible = masks_of(args.format, is_panoptic=task == "panoptic")
    masks = args.masks or possible[0]
    if masks not in possible:
        raise ValueError(
            f"--masks {masks}: task {task} as {args.format} gives one of {', '.join(possible)}"
        )
    names = [name for name in (args.classes or "").split(",") if name.strip()]
    return _Job(
        predictor=predictor,
        task=task,
        masks=masks,
        dialect=args.format,
        options=PredictOptions(
            score_threshold=_threshold(args, predictor),
            max_instances=args.max_instances,
            category_ids=predictor.categories.ids(*names) or None,
            masks=masks in ("rle", "polygon") or (task == "instance" and bool(overlays)),
        ),
        batch_size=args.batch_size or usual_batch_size(predictor.device.type),
        overlays=overlays,
    )


def _threshold(args: argparse.Namespace, predictor: Predictor) -> float:
    given: float | None = args.score_threshold
    return predictor.config.detection.score_threshold if given is None else given


def _segment(job: _Job, pictures: list[tuple[PictureFile, np.ndarray]]) -> list[dict[str, Any]]:
    categories = job.predictor.categories
    images = [image for _, image in pictures]
    results = job.predictor.segment(images, job.options, batch_size=job.batch_size)
    answers = []
    for (picture, image), result in zip(pictures, results, strict=True):
        masks: Any = native_masks(job.dialect, job.masks)
        answers.append(segment_answer(result, categories, image_id=picture.name, masks=masks))
        if picture in job.overlays:
            _write_overlay(job.overlays[picture], overlay_instances(image, result, categories))
    return answers


def _panoptic(job: _Job, pictures: list[tuple[PictureFile, np.ndarray]]) -> list[dict[str, Any]]:
    categories = job.predictor.categories
    images = [image for _, image in pictures]
    results = job.predictor.panoptic(images, job.options, batch_size=job.batch_size)
    answers = []
    for (picture, image), result in zip(pictures, results, strict=True):
        masks: Any = native_masks(job.dialect, job.masks)
        answers.append(panoptic_answer(result, categories, image_id=picture.name, masks=masks))
        if picture in job.overlays:
            _write_overlay(job.overlays[picture], overlay_panoptic(image, result, categories))
    return answers


def _told(job: _Job, model: dict[str, str], answers: list[dict[str, Any]]) -> bytes:
    """Return the whole answer as a line of JSON, in its dialect."""
    parts = [json.dumps(tell(answer, job.dialect, job.masks)).encode() for answer in answers]
    return join(job.dialect, model, parts, is_panoptic=job.task == "panoptic") + b"\n"


def _write_overlay(path: Path, drawn: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_png = path.suffix.lower() == ".png"
    write_file(path, encode_picture(drawn, "image/png" if is_png else "image/jpeg"))


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


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; None reads those of the process. Bad ones exit with code 2."""
    parser = OneLineParser(
        prog="python -m model.predict", description="Segment pictures; the answer is JSON."
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a picture, or a folder of pictures")
    add("--recursive", action="store_true", help="look into the folders inside folders")
    add("--task", choices=("instance", "panoptic"), help="default: panoptic if the model can")
    add("--score-threshold", type=fraction, metavar="S", help="0 to 1 (the model's own)")
    add("--classes", metavar="NAMES", help="names or ids, comma-separated (all)")
    add("--max-instances", type=positive, metavar="N", help="the best so many of each picture")
    add("--masks", choices=get_args(Masks), help="polygon: instances, png: panoptic (rle)")
    format_help = "our own JSON (native) or that of another tool"
    add("--format", choices=get_args(Dialect), default="native", help=format_help)
    add("--output", type=Path, metavar="JSON", help="where the answer goes (standard output)")
    overlay_help = "draw the results: a .png or .jpg file for one picture, a folder for several"
    add("--overlay", type=Path, metavar="PATH", help=overlay_help)
    add_model_options(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
