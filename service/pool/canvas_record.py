"""Which sizes of pictures a server met: the next start warms them up first."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from pathlib import Path

from model.files import write_file
from service.pool.pending import PendingRequest

log = logging.getLogger(__name__)

_MOST_SIZES = 1000
_MOST_WARMED = 8

Size = tuple[int, int]


class CanvasRecord:
    """Counts pictures by canvas, and keeps the most frequent in a JSON file.

    One picture size stands for each canvas: the first that was met.

    Args:
        path: of the file; None: nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._counts: Counter[Size] = Counter()
        self._sizes: dict[Size, Size] = {}
        if path is not None:
            self._read(path)

    @property
    def frequent(self) -> tuple[Size, ...]:
        """(height, width) of a picture of each of the most frequent canvases."""
        return tuple(self._sizes[canvas] for canvas, _ in self._counts.most_common(_MOST_WARMED))

    def note(self, request: PendingRequest) -> None:
        """Count a request's pictures."""
        for waiting, picture in zip(request.pictures, request.job.pictures, strict=True):
            canvas = waiting.canvas
            if canvas in self._sizes or len(self._sizes) < _MOST_SIZES:
                self._sizes.setdefault(canvas, (picture.height, picture.width))
                self._counts[canvas] += 1

    def text(self) -> str:
        """Return what the file should hold now."""
        rows = [
            {"canvas": list(canvas), "size": list(self._sizes[canvas]), "count": count}
            for canvas, count in self._counts.most_common()
        ]
        return json.dumps({"canvases": rows})

    async def save(self) -> None:
        """Write the file, away from the event loop."""
        await asyncio.to_thread(self.write, self.text())

    def write(self, text: str) -> None:
        """Write the file, whole or not at all; a failure is logged, the server goes on.

        Any thread may call this, so that a slow disk keeps nobody waiting.
        """
        if self._path is None:
            return
        with self._writing:
            try:
                write_file(self._path, text.encode())
            except OSError as error:
                log.warning("the canvas record is not written", extra={"why": error.strerror})

    def _read(self, path: Path) -> None:
        try:
            rows = json.loads(path.read_text())["canvases"]
            for row in rows[:_MOST_SIZES]:
                canvas, size = _size(row["canvas"]), _size(row["size"])
                self._sizes[canvas] = size
                # Halved at each start: what is not sent any more fades.
                self._counts[canvas] = int(row["count"]) // 2
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the canvas record cannot be read", extra={"why": str(error)})


def _size(pair: list[int]) -> Size:
    height, width = pair
    return int(height), int(width)
