"""Log lines on stderr: time, level, message, then the fields as key=value, request id included."""

from __future__ import annotations

import logging
from contextvars import ContextVar

# The id of the request that this task is answering; empty outside of one.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class FieldFormatter(logging.Formatter):
    """Formats a record on one line (a traceback follows on its own), `extra` members as fields."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        request_id = current_request_id.get()
        if request_id:
            fields.setdefault("request_id", request_id)
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={_plain(value)}" for name, value in fields.items())])


def _plain(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def configure_logging(level: str) -> None:
    """Send the records of `service` and `model` from that level on to stderr; others' warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("service", "model"):
        logging.getLogger(name).setLevel(level.upper())
