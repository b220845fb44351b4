"""The arguments of `python -m model.predict`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model.command_line import OneLineParser, add_model_options, fraction, positive

# What --masks may be for each task.
MASKS = {"instance": ("rle", "polygon", "none"), "panoptic": ("rle", "png", "none")}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; None reads those of the process. Bad ones exit with code 2."""
    parser = OneLineParser(
        prog="python -m model.predict", description="Segment pictures; the answer is JSON."
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a picture, or a folder of pictures")
    add("--recursive", action="store_true", help="look into the folders inside folders")
    add("--task", choices=tuple(MASKS), help="default: panoptic if the model can")
    add("--score-threshold", type=fraction, metavar="S", default=0.3, help="0 to 1 (0.3)")
    add("--classes", metavar="NAMES", help="names or ids, comma-separated (all)")
    add("--max-instances", type=positive, metavar="N", help="the best so many of each picture")
    masks = tuple(dict.fromkeys(kind for kinds in MASKS.values() for kind in kinds))
    add("--masks", choices=masks, default="rle", help="polygon: instances, png: panoptic (rle)")
    add("--output", type=Path, metavar="JSON", help="where the answer goes (standard output)")
    overlay_help = "draw the results: a .png or .jpg file for one picture, a folder for several"
    add("--overlay", type=Path, metavar="PATH", help=overlay_help)
    add_model_options(parser)
    return parser.parse_args(argv)
