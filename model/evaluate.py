"""Measure a model from the command line: `python -m model.evaluate --images FOLDER … [options]`.

Exit code 0: all done; 1: some pictures could not be read, the numbers are of the others, or there
was nothing to be found (and no --results to write); 2: bad arguments, weights or data; 130:
interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.command_line import OneLineParser, add_model_options, open_predictor, positive
from model.files import can_be_written, write_file

if TYPE_CHECKING:
    from model.prediction.predictor import Predictor

_NUM_NAMED = 20


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
        _say(f"python -m model.evaluate: {error}")
        return 2


def _run(args: argparse.Namespace) -> int:
    # These take seconds to import; --help and a misspelt argument need not wait for them.
    from model.evaluation.data import open_data
    from model.evaluation.measure import evaluate
    from model.evaluation.nothing_found import why_no_numbers
    from model.evaluation.results_file import results_file
    from model.evaluation.table import classes_table, summary

    for option, path in (("--output", args.output), ("--results", args.results)):
        _check_writable(option, path)
    data = open_data(
        args.images,
        annotations=args.annotations,
        panoptic=args.panoptic,
        panoptic_folder=args.panoptic_folder,
        crowds_are_objects=args.crowds_are_objects,
        needs_annotations=args.results is None,
    )
    predictor, name, sha256 = open_predictor(args)
    with ExitStack() as stack:
        on_result = stack.enter_context(results_file(args.results)) if args.results else None
        report = evaluate(
            predictor,
            data,
            task=args.task or _task(args, predictor),
            limit=args.limit,
            batch_size=args.batch_size,
            common_classes=args.common_classes,
            on_result=on_result,
            progress=True,
        )
    report["model"]["name"] = name
    report["model"]["weights"] = f"sha256:{sha256}"
    if args.output:
        write_file(args.output, (json.dumps(report, indent=1) + "\n").encode())
    blocks = [classes_table(report)] if args.classes_table else []
    sys.stdout.write("\n\n".join([*blocks, summary(report)]) + "\n")
    sys.stdout.flush()
    failed = report["pictures"]["failed"]
    _name(failed)
    why_empty = why_no_numbers(report, data)
    if why_empty is not None:
        _say(f"python -m model.evaluate: {why_empty}")
        # Of a file that only lists pictures, what is found is all that can be asked for.
        if args.results is None or any(picture.annotations for picture in data.pictures):
            return 1
    return 1 if failed and not args.skip_missing else 0


def _task(args: argparse.Namespace, predictor: Predictor) -> Any:
    """Return all that the files and the model allow."""
    if args.annotations is None:
        return "panoptic"
    return "both" if args.panoptic and predictor.config.is_panoptic else "instance"


def _check_writable(option: str, path: Path | None) -> None:
    if path and not can_be_written(path):
        raise ValueError(f"{option} {path} must be a file in a folder open to writing")


def _name(failed: Sequence[dict[str, str]]) -> None:
    for row in failed[:_NUM_NAMED]:
        _say(f"{row['file_name']}: {row['reason']}")
    if len(failed) > _NUM_NAMED:
        _say(f"and {len(failed) - _NUM_NAMED} more (the report names them all)")
    if failed:
        _say(f"{len(failed)} picture{'' if len(failed) == 1 else 's'} could not be read")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; None reads those of the process. Bad ones exit with code 2."""
    parser = OneLineParser(
        prog="python -m model.evaluate",
        description="Measure a model: box and mask AP, panoptic quality, as COCO defines them.",
    )
    _add_data(parser)
    add_model_options(parser)
    _add_answer(parser)
    args = parser.parse_args(argv)
    if (args.panoptic is None) != (args.panoptic_folder is None):
        parser.error("--panoptic and --panoptic-folder go together")
    if args.annotations is None and args.panoptic is None:
        parser.error("--annotations or --panoptic is required")
    if args.results is not None and (args.annotations is None or args.task == "panoptic"):
        parser.error("--results holds instances: it needs --annotations and another --task")
    return args


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--annotations", type=Path, metavar="JSON", help="COCO-style instances, or YOLO's YAML")
    add("--images", type=Path, metavar="FOLDER", required=True, help="the pictures")
    add("--panoptic", type=Path, metavar="JSON", help="COCO-style panoptic segments")
    add("--panoptic-folder", type=Path, metavar="FOLDER", help="their maps, PNG")
    task_help = "default: all that the files and the model allow"
    add("--task", choices=("instance", "panoptic", "both"), help=task_help)
    add("--limit", type=positive, metavar="N", help="the first N pictures only")
    crowds_help = "read crowds as objects: CVAT's brush writes objects so"
    add("--crowds-are-objects", action="store_true", help=crowds_help)
    common_help = "leave out categories that only the model or only the data has"
    add("--common-classes", action="store_true", help=common_help)
    skip_help = "pictures that cannot be read are named but no failure"
    add("--skip-missing", action="store_true", help=skip_help)


def _add_answer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("answer").add_argument
    add("--output", type=Path, metavar="JSON", help="where the whole report goes")
    results_help = "where the detections go, COCO's results; --annotations may have none then"
    add("--results", type=Path, metavar="JSON", help=results_help)
    add("--classes-table", action="store_true", help="print a line for each class too")


if __name__ == "__main__":
    sys.exit(main())
