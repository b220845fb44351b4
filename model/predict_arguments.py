"""The arguments of `python -m model.predict`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# What --masks may be for each task.
MASKS = {"instance": ("rle", "polygon", "none"), "panoptic": ("rle", "png", "none")}


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; None reads those of the process. Bad ones exit with code 2."""
    parser = _Parser(
        prog="python -m model.predict", description="Segment pictures; the answer is JSON."
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a picture, or a folder of pictures")
    add("--recursive", action="store_true", help="look into the folders inside folders")
    add("--task", choices=tuple(MASKS), help="default: panoptic if the model can")
    add("--score-threshold", type=_fraction, metavar="S", default=0.3, help="0 to 1 (0.3)")
    add("--classes", metavar="NAMES", help="names or ids, comma-separated (all)")
    add("--max-instances", type=_positive, metavar="N", help="the best so many of each picture")
    masks = tuple(dict.fromkeys(kind for kinds in MASKS.values() for kind in kinds))
    add("--masks", choices=masks, default="rle", help="polygon: instances, png: panoptic (rle)")
    add("--output", type=Path, metavar="JSON", help="where the answer goes (standard output)")
    overlay_help = "draw the results: a .png or .jpg file for one picture, a folder for several"
    add("--overlay", type=Path, metavar="PATH", help=overlay_help)
    _add_model(parser)
    return parser.parse_args(argv)


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("model").add_argument
    add("--weights", metavar="W", help="a released name, file, URL or hub file (R_50_3x)")
    add("--config", metavar="C", help="configuration name or YAML file, for foreign weights")
    override_help = "change the configuration; may be repeated"
    pair = ("KEY", "VALUE")
    add("--override", nargs=2, action="append", default=[], metavar=pair, help=override_help)
    add("--categories", type=Path, metavar="JSON", help="COCO-style file with the categories")
    add("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1")
    add("--batch-size", type=_positive, metavar="N", help="pictures at a time (8 on CUDA, else 1)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
