"""The arguments of `python -m model.train`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from model.command_line import OneLineParser
from model.config import NetworkPart

# What changes the network or the recipe; those that are given are recorded with the checkpoint.
RECORDED = (
    "short_side",
    "max_side",
    "crowds_are_objects",
    "keep_empty",
    "batch_size",
    "accumulate",
    "optimizer",
    "lr",
    "scale_lr",
    "iterations",
    "epochs",
    "warmup",
    "steps",
    "freeze_at",
    "freeze",
    "own_boxes",
    "precision",
    "clip_norm",
    "ema",
    "evaluate_every",
    "checkpoint_every",
    "seed",
    "train_sides",
    "flip",
    "crop",
    "colour_jitter",
    "scale_jitter",
    "copy_paste",
)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; None reads those of the process. Bad ones exit with code 2."""
    parser = OneLineParser(
        prog="python -m model.train",
        description="Train a BlendMask network, or evaluate one (--eval-only).",
        epilog="python -m model.train check-data --data D finds what would hurt in a data set. "
        "torchrun --nproc-per-node N -m model.train … trains on N devices. "
        "Without a value, an option is as the configuration's recipe has it.",
    )
    _add_run(parser)
    _add_network(parser)
    _add_schedule(parser)
    _add_step(parser)
    _add_pictures(parser)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("run").add_argument
    data_help = (
        "a folder (COCO's, an export, YOLO's), annotation JSON, or JSON:PICTURES; repeatable"
    )
    add("--data", action="append", default=[], metavar="D", help=data_help)
    eval_help = "data to evaluate on, given alike (the validation part of the first --data)"
    add("--eval-data", metavar="D", help=eval_help)
    crowds_help = "read crowds as objects: CVAT's brush writes objects so"
    add("--crowds-are-objects", action="store_true", default=None, help=crowds_help)
    empty_help = "train on pictures without objects too: background is all that they have"
    add("--keep-empty", action=argparse.BooleanOptionalAction, help=empty_help)
    add("--output", type=Path, metavar="DIR", help="the run's folder (runs/NAME)")
    add("--resume", action="store_true", help="go on with the run in the folder, if there is one")
    add("--eval-only", action="store_true", help="only evaluate --weights")
    add("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 (auto)")
    add("--workers", type=_number(int, 0), metavar="N", default=2, help="loader processes (2)")
    add("--log-every", type=_number(int, 1), metavar="N", default=20, help="iterations (20)")
    pictures_help = "validation pictures drawn at each evaluation (4)"
    add("--pictures", type=_number(int, 0), metavar="N", default=4, help=pictures_help)
    add("--wandb", metavar="PROJECT", help="send the curves to Weights & Biases too")


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("network").add_argument
    config_help = "released configuration, AdelaiDet YAML file, small or small-2 (the weights' own)"
    add("--config", metavar="C", help=config_help)
    add("--weights", metavar="W", help="start from a whole network: released name, file, URL")
    backbone_help = "start from an ImageNet backbone: a file, torchvision, or none (none)"
    add("--backbone-weights", metavar="W", help=backbone_help)
    add("--short-side", type=_number(int, 32), metavar="N", help="of the network's input")
    add("--max-side", type=_number(int, 32), metavar="N", help="limit of the longer side")
    freeze_help = "backbone stages kept as they are: 2 is stem and res2, 0 trains all"
    add("--freeze-at", type=_number(int, 0, 5), metavar="N", help=freeze_help)
    part_help = (
        f"keep a whole part as it is: {', '.join(get_args(NetworkPart))}; may be repeated. "
        "The backbone's holds the pyramid"
    )
    add("--freeze", action="append", choices=get_args(NetworkPart), metavar="PART", help=part_help)
    own_help = "learn masks in up to N of the network's own boxes of an object too (0)"
    add("--own-boxes", type=_number(int, 0), metavar="N", help=own_help)


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("schedule").add_argument
    add("--batch-size", type=_number(int, 1), metavar="N", help="pictures, over all devices")
    add("--accumulate", type=_number(int, 1), metavar="N", help="batches for one step")
    optimizer_help = "adamw: rate 5e-4 unless --lr is given, weight decay 0.05 (the recipe's, sgd)"
    add("--optimizer", choices=("sgd", "adamw"), help=optimizer_help)
    lr_help = "learning rate, after the warm-up"
    add("--lr", type=_number(float, 0), metavar="R", help=lr_help)
    scale_help = "the linear rule: times (batch size × accumulate) / the recipe's batch size"
    add("--scale-lr", action="store_true", default=None, help=scale_help)
    length = parser.add_mutually_exclusive_group()
    iterations_help = "steps of the optimiser; the recipe's drops move along"
    length.add_argument("--iterations", type=_number(int, 1), metavar="N", help=iterations_help)
    length.add_argument(
        "--epochs", type=_number(float, 0), metavar="E", help="passes over the data, instead"
    )
    add("--warmup", type=_number(int, 0), metavar="N", help="iterations of warm-up")
    steps_help = "iterations at which the rate drops tenfold, such as 8000,11000"
    add("--steps", type=_whole_numbers, metavar="N,N", help=steps_help)
    every_help = "iterations; 0: at the end only (ten times a run)"
    add("--evaluate-every", type=_number(int, 0), metavar="N", help=every_help)
    add("--checkpoint-every", type=_number(int, 1), metavar="N", help="iterations")
    add("--seed", type=_number(int, 0, 2**31), metavar="N")


def _add_step(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("step").add_argument
    add("--precision", choices=("float32", "bf16"), help="of the forward pass (float32)")
    add("--clip-norm", type=_number(float, 0), metavar="N", help="limit of the gradients' norm")
    ema_help = "keep averaged weights, and serve them; 0: none (recipe)"
    add("--ema", type=_number(float, 0, 1), metavar="DECAY", help=ema_help)
    last_help = "lay pixels out channels last: faster in bf16, on the CPU too"
    add("--channels-last", action="store_true", help=last_help)
    add("--compile", action="store_true", help="torch.compile the network")
    skip_help = "leave out steps whose loss or gradient is no number, instead of stopping"
    add("--skip-non-finite", action="store_true", help=skip_help)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("augmentation").add_argument
    sides_help = "short sides to choose from (in proportion to --short-side)"
    add("--train-sides", type=_whole_numbers, metavar="N,N", help=sides_help)
    add("--flip", type=_number(float, 0, 1), metavar="P", help="probability of a mirror image")
    crop_help = "crop to 90 to 100 %% of each side, keeping an object"
    add("--crop", action=argparse.BooleanOptionalAction, help=crop_help)
    add("--colour-jitter", type=_number(float, 0, 1), metavar="S", help="strength, 0 to 1")
    jitter = ("LOW", "HIGH")
    jitter_help = "large-scale jitter: the range of its factor, such as 0.4 1.6"
    add("--scale-jitter", nargs=2, type=_number(float, 0), metavar=jitter, help=jitter_help)
    paste_help = "probability that objects of another picture are pasted in"
    add("--copy-paste", type=_number(float, 0, 1), metavar="P", help=paste_help)


def _check(parser: OneLineParser, args: argparse.Namespace) -> None:
    if args.eval_only:
        if not args.weights:
            parser.error("--eval-only needs --weights")
        if not (args.data or args.eval_data):
            parser.error("--eval-only needs --eval-data, or --data with a validation part")
    elif not args.data:
        parser.error("--data is missing: a COCO folder, or an annotation JSON file")
    if not (args.config or args.weights):
        parser.error("give --config (a released configuration, a YAML file, small) or --weights")
    if args.backbone_weights and args.weights:
        parser.error("--weights has a backbone already: leave out --backbone-weights")
    if args.scale_jitter and not 0 < args.scale_jitter[0] <= args.scale_jitter[1]:
        low, high = args.scale_jitter
        parser.error(f"--scale-jitter is {low:g} {high:g}: the lower factor, above 0, comes first")
    if args.scale_lr and args.lr is not None:
        parser.error("--scale-lr computes the learning rate: leave out --lr")


def _number(
    kind: type[int] | type[float], low: float, high: float = math.inf
) -> Callable[..., float]:
    """Return a reader of numbers in a range; of whole ones if the kind is int."""
    what = f"a {'whole ' if kind is int else ''}number"
    limits = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = -1
        if not low <= value <= high or value == math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} {limits}")
        return value

    return read


def _whole_numbers(text: str) -> tuple[int, ...]:
    read = _number(int, 1)
    return tuple(int(read(part)) for part in text.split(","))
