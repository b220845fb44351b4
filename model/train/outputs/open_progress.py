"""What tells how a run goes, where it is run: a bar on a terminal, lines elsewhere, curves."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from model.train.outputs.boards import open_boards
from model.train.outputs.progress import Progress
from model.train.state.training import Training


def open_progress(
    args: argparse.Namespace, folder: Path, training: Training, stack: ExitStack
) -> Progress:
    """Return what tells how the training goes; the main process's speaks, the others' do not.

    Args:
        stack: closes it, and gives the log back.
    """
    start, end = training.iteration, training.recipe.iterations
    if not training.world.is_main:
        return Progress(None, start=start, end=end, every=args.log_every)
    bar: tqdm[Any] | None = None
    if has_room_for_a_bar():
        stack.enter_context(logging_redirect_tqdm())
        bar = tqdm(total=end, initial=start, unit="step")
    progress = Progress(
        folder,
        start=start,
        end=end,
        every=args.log_every,
        bar=bar,
        boards=open_boards(folder, args.wandb, asdict(training.recipe)),
    )
    stack.callback(progress.close)
    return progress


def has_room_for_a_bar() -> bool:
    """Whether standard error is a terminal with a width; some say that theirs is 0."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False
