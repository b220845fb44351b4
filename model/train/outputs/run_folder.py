"""A run's folder, for one run at a time; what another left in it is never overwritten."""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.files import clear_partial_files
from model.train.outputs.keeper import BEST, LAST
from model.train.state.resume import has_state

logger = logging.getLogger(__name__)

_LOCK = ".lock"


@contextmanager
def claimed(folder: Path, *, resume: bool) -> Iterator[None]:
    """Make the folder and keep other runs out of it; another's is taken only to go on with it.

    Weights without a state to go on from, such as a full disk leaves, are put aside.

    Raises:
        ValueError: there is a run in it and nobody asked to go on with it, one is at work in
            it, or it cannot be written.
    """
    if has_state(folder) and not resume:
        raise ValueError(
            f"{folder} holds a run already; --resume goes on with it, another --output starts anew"
        )
    weights = [folder / name for name in (LAST, BEST) if (folder / name).exists()]
    if weights and not resume:
        raise ValueError(
            f"{folder} holds {weights[0].name} of another run, and no state to go on from; "
            f"another --output leaves it, --weights {weights[0]} starts from it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise ValueError(f"{folder} cannot be a run's folder: {error.strerror}") from None
    with lock:
        # The process's own: the loader's processes, which may outlive it, have no part in it.
        _lock(lock.fileno(), folder)
        clear_partial_files(folder)
        if not has_state(folder):
            put_aside(weights, "there is no state to go on from")
        yield


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise ValueError(
                f"another run is at work in {folder}; wait for it, or give another --output"
            ) from None
        logger.warning("%s cannot be locked (%s): start one run in it", folder, error.strerror)


def put_aside(files: list[Path], reason: str) -> None:
    """Rename files that would be overwritten, and say so; those that are not there are passed."""
    for path in filter(Path.exists, files):
        names = (f"{path.stem}.before-{n}{path.suffix}" for n in itertools.count(1))
        aside = next(p for name in names if not (p := path.with_name(name)).exists())
        path.rename(aside)
        logger.warning("%s: %s is %s now", reason, path, aside.name)
