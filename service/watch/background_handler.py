"""Log lines are formatted where they arise and written by a thread: a log nobody reads, on a full
pipe or a disk that hangs, must not keep the server waiting.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress

# Of lines that wait to be written. A collector that pauses for a moment loses nothing.
_MOST_CHARACTERS = 8 * 2**20
_CLOSE_S = 1.0

# Lines of other processes, formatted there: its records' messages are written as they are.
verbatim = logging.getLogger("service.watch.verbatim")


class BackgroundHandler(logging.Handler):
    """Writes records to a file descriptor, in order, as soon as it takes them.

    Lines that find no room are dropped; how many is said as soon as there is room again.

    Args:
        fd: where to; it stays open.
        most_characters: that wait.
    """

    def __init__(self, fd: int, most_characters: int = _MOST_CHARACTERS) -> None:
        super().__init__()
        self._fd = fd
        self._most_characters = most_characters
        self._num_dropped = 0
        self._change = threading.Condition()  # guards the following
        self._lines: list[str] = []
        self._num_characters = 0  # of lines that wait or are being written
        self._is_closing = False
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written."""
        if self._num_dropped and self._put(self._formatted(_dropped(self._num_dropped))):
            self._num_dropped = 0
        if not self._put(self._formatted(record)):
            self._num_dropped += 1

    def close(self) -> None:
        """Write what waits, for a second at most."""
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join(_CLOSE_S)
        super().close()

    def _formatted(self, record: logging.LogRecord) -> str:
        if record.name == verbatim.name:
            return record.getMessage()
        try:
            return self.format(record)
        except Exception:  # a log never replaces an answer
            return self.format(_record("a log record cannot be formatted", source=record.name))

    def _put(self, line: str) -> bool:
        with self._change:
            if self._num_characters + len(line) > self._most_characters:
                return False
            self._lines.append(line)
            self._num_characters += len(line)
            self._change.notify()
        return True

    def _write_all(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._lines or self._is_closing)
                lines, self._lines = self._lines, []
            if not lines:
                return
            with suppress(OSError):  # a full disk, a reader that is gone
                self._write(
                    "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
                )
            with self._change:
                self._num_characters -= sum(map(len, lines))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _dropped(number: int) -> logging.LogRecord:
    return _record("lines of the log were dropped, as nothing took them", number=number)


def _record(message: str, **fields: object) -> logging.LogRecord:
    level = logging.WARNING
    return logging.makeLogRecord(
        {
            "name": __name__,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": message,
            **fields,
        }
    )
