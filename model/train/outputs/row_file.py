"""Files of one JSON object a line, each of an iteration: metrics and evaluations."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.files import write_file

logger = logging.getLogger(__name__)


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row, whole or not at all; a full disk is logged, no more."""
    line = f"{json.dumps(row)}\n".encode()
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            if file.write(line) < len(line):
                file.truncate(before)
                raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        logger.warning("%s cannot be written: %s", path, error.strerror)


def iterations_in(path: Path) -> set[int]:
    """Return the iterations that the file has a row of; none if there is no file."""
    return {iteration for iteration, _ in _rows(path)}


def keep_rows_until(path: Path, start: int) -> None:
    """Drop what a stopped run wrote after the state that it is resumed from: it will come again.

    What a killed process left of a line goes too.
    """
    if not path.exists():
        return
    kept = b"".join(line + b"\n" for iteration, line in _rows(path) if iteration <= start)
    if kept != path.read_bytes():
        write_file(path, kept)


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the iteration and the text of every whole row."""
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            yield int(json.loads(line)["iteration"]), line
        except (ValueError, KeyError, TypeError):
            continue
