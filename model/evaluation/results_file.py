"""COCO's results file, written row by row: a list of detections that no memory need hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.files import replacing


@contextmanager
def results_file(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield what adds a detection to a JSON list, which takes its path when the block ends well."""
    with replacing(path) as partial, partial.open("w", encoding="ascii") as file:
        separator = "["

        def add(row: Mapping[str, Any]) -> None:
            nonlocal separator
            file.write(separator + json.dumps(row))
            separator = ",\n"

        yield add
        file.write("[\n]\n" if separator == "[" else "\n]\n")
