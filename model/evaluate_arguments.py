"""The arguments of `python -m model.evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model.command_line import OneLineParser, add_model_options, positive


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
    add("--annotations", type=Path, metavar="JSON", help="COCO-style instances")
    add("--images", type=Path, metavar="FOLDER", required=True, help="the pictures")
    add("--panoptic", type=Path, metavar="JSON", help="COCO-style panoptic segments")
    add("--panoptic-folder", type=Path, metavar="FOLDER", help="their maps, PNG")
    task_help = "default: all that the files and the model allow"
    add("--task", choices=("instance", "panoptic", "both"), help=task_help)
    add("--limit", type=positive, metavar="N", help="the first N pictures only")
    common_help = "leave out categories that only the model or only the data has"
    add("--common-classes", action="store_true", help=common_help)
    skip_help = "pictures that cannot be read are named but no failure"
    add("--skip-missing", action="store_true", help=skip_help)


def _add_answer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("answer").add_argument
    add("--output", type=Path, metavar="JSON", help="where the whole report goes")
    add("--results", type=Path, metavar="JSON", help="where the detections go, COCO's results")
    add("--classes-table", action="store_true", help="print a line for each class too")
