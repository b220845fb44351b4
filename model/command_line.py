"""What the command-line programs share: errors in one line, and the options that name a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.prediction.predictor import Predictor

from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and the message."""
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what `model.command_line.open_predictor` reads, and the batch size."""
    add = parser.add_argument_group("model").add_argument
    weights_help = "small (bundled), a released name, file, URL or hub file (small)"
    add("--weights", metavar="W", help=weights_help)
    add("--config", metavar="C", help="configuration name or YAML file, for foreign weights")
    override_help = "change the configuration; may be repeated"
    pair = ("KEY", "VALUE")
    add("--override", nargs=2, action="append", default=[], metavar=pair, help=override_help)
    add("--categories", type=Path, metavar="JSON", help="COCO-style file with the categories")
    add("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1")
    batch_help = "pictures at a time (8 on CUDA, else 1)"
    add("--batch-size", type=positive, metavar="N", help=batch_help)


def positive(text: str) -> int:
    """Return a whole number of 1 or more, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def fraction(text: str) -> float:
    """Return a number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def open_predictor(args: argparse.Namespace) -> tuple[Predictor, str, str]:
    """Return the predictor that the arguments ask for, its model's name and weights' digest.

    Raises:
        ValueError: no such model, categories or device.
    """
    # These take seconds to import; --help and a misspelt argument need not wait for them.
    from model.prediction.device import find_device
    from model.prediction.predictor import Predictor
    from model.zoo import open_model as zoo

    device = find_device(args.device)
    checkpoint = zoo.open_model(
        args.weights or zoo.DEFAULT_MODEL,
        config=args.config,
        overrides=[part for pair in args.override for part in pair],
        categories=args.categories,
    )
    predictor = Predictor.from_checkpoint(checkpoint, str(device))
    return predictor, checkpoint.name, checkpoint.sha256
