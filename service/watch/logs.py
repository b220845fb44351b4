"""Log lines on stderr, as text for people or as JSON for machines; the same for every process.

A record has a constant message and its values as fields (`extra`). The ids of the request, and
of its trace where there is one, are added by themselves.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from service.watch.background_handler import BackgroundHandler

LogFormat = Literal["text", "json"]

# Of the request that this task is answering; empty outside of one.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
current_trace_id: ContextVar[str] = ContextVar("current_trace_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


@contextmanager
def logged_as(request_id: str, trace_id: str = "") -> Iterator[None]:
    """Put these ids on every line that is logged inside the `with` block."""
    request_token = current_request_id.set(request_id)
    trace_token = current_trace_id.set(trace_id)
    try:
        yield
    finally:
        current_trace_id.reset(trace_token)
        current_request_id.reset(request_token)


class FieldFormatter(logging.Formatter):
    """Formats a record on one line (a traceback follows on its own), fields as key=value.

    Args:
        constant: fields of every line.
    """

    default_msec_format = "%s.%03d"

    def __init__(self, constant: Mapping[str, object] | None = None) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._constant = constant or {}

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line."""
        fields = _fields(record, self._constant)
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={_plain(value)}" for name, value in fields.items())])


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line of ASCII.

    Members: time (ISO 8601, UTC), level, logger, message, the fields, and exception, a
    traceback, where there is one. A field never replaces one of the others.

    Args:
        constant: fields of every line.
    """

    def __init__(self, constant: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._constant = constant or {}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC)
        members: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record, self._constant).items():
            members.setdefault(name, _finite(value))
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            members["stack"] = record.stack_info
        # ASCII: stderr may have any encoding, and a field any characters, lone surrogates too.
        return json.dumps(members, default=str, skipkeys=True)


def configure_logging(
    level: str, log_format: LogFormat = "text", *, worker: str | None = None
) -> None:
    """Send the records of `service` and `model` from that level on to stderr; others' warnings.

    The server never waits for its log. A worker does: the server reads it.

    Args:
        worker: the device, in a worker's process; a field of every line.
    """
    formatter_of = JsonFormatter if log_format == "json" else FieldFormatter
    handler = logging.StreamHandler() if worker else BackgroundHandler(sys.stderr.fileno())
    handler.setFormatter(formatter_of({} if worker is None else {"worker": worker}))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # What the picture decoder has to say is written by whoever sent the picture.
    logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"PIL\b")
    for name in ("service", "model"):
        logging.getLogger(name).setLevel(level.upper())


def _fields(record: logging.LogRecord, constant: Mapping[str, object]) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    for name, value in (
        *constant.items(),
        ("request_id", current_request_id.get()),
        ("trace_id", current_trace_id.get()),
    ):
        if value:
            fields.setdefault(name, value)
    return fields


def _plain(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def _finite(value: object) -> Any:
    """Return the value; floats with six digits, and as text where JSON has no number for them."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value
