"""Measure a model from the command line: `python -m model.evaluate --images FOLDER … [options]`.

Exit code 0: all done; 1: some pictures could not be read, the numbers are of the others; 2: bad
arguments, weights or data; 130: interrupted.
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

from model.evaluate_arguments import parse_arguments

if TYPE_CHECKING:
    from model.predictor import Predictor

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


def open_predictor(args: argparse.Namespace) -> tuple[Predictor, str]:
    """Return the predictor that the arguments ask for, and its weights' digest.

    Raises:
        ValueError: no such model, categories or device.
    """
    from model import predict

    predictor, _, sha256 = predict.open_predictor(args)
    return predictor, sha256


def _run(args: argparse.Namespace) -> int:
    # These take seconds to import; --help and a misspelt argument need not wait for them.
    from model.evaluation import evaluate
    from model.evaluation_data import open_data
    from model.evaluation_table import classes_table, summary
    from model.picture_files import write_file
    from model.results_file import ResultsFile

    for option, path in (("--output", args.output), ("--results", args.results)):
        _check_writable(option, path)
    data = open_data(
        args.images,
        annotations=args.annotations,
        panoptic=args.panoptic,
        panoptic_folder=args.panoptic_folder,
    )
    predictor, sha256 = open_predictor(args)
    with ExitStack() as stack:
        results = stack.enter_context(ResultsFile(args.results)) if args.results else None
        report = evaluate(
            predictor,
            data,
            task=args.task or _task(args, predictor),
            limit=args.limit,
            batch_size=args.batch_size,
            common_classes=args.common_classes,
            on_result=results.write if results else None,
            progress=True,
        )
    report["model"]["weights"] = f"sha256:{sha256}"
    if args.output:
        write_file(args.output, (json.dumps(report, indent=1) + "\n").encode())
    blocks = [classes_table(report)] if args.classes_table else []
    sys.stdout.write("\n\n".join([*blocks, summary(report)]) + "\n")
    sys.stdout.flush()
    failed = report["pictures"]["failed"]
    _name(failed)
    return 1 if failed and not args.skip_missing else 0


def _task(args: argparse.Namespace, predictor: Predictor) -> Any:
    """Return all that the files and the model allow."""
    if args.annotations is None:
        return "panoptic"
    return "both" if args.panoptic and predictor.config.is_panoptic else "instance"


def _check_writable(option: str, path: Path | None) -> None:
    if path and (path.is_dir() or not os.access(path.parent, os.W_OK)):
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


if __name__ == "__main__":
    sys.exit(main())
