"""COCO's results file, written row by row: a list of detections that no memory need hold."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class ResultsFile:
    """A JSON list under way; it takes its name when the `with` block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._is_empty = True

    def __enter__(self) -> ResultsFile:
        self._file = self._partial.open("w", encoding="ascii")
        self._file.write("[")
        return self

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one detection."""
        self._file.write(("\n" if self._is_empty else ",\n") + json.dumps(row))
        self._is_empty = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._file.write("\n]\n")
            self._file.close()
            if kind is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)
