"""What a worker writes to stderr, passed on in the form of the server's own log."""

from __future__ import annotations

import asyncio
import logging

from service.watch.background_handler import verbatim

log = logging.getLogger(__name__)

LINE_LIMIT = 1 << 20  # bytes; a longer line is left out


async def pass_on(lines: asyncio.StreamReader, *, device: str, is_json: bool) -> None:
    """Copy a worker's stderr to this process' own, until the worker closes it.

    Its log lines pass as they are. Native libraries and a dying interpreter write lines of their
    own: where the log is JSON, each becomes a warning, so that every line can be parsed.
    """
    while True:
        try:
            line = await lines.readline()
        except ValueError:
            log.warning("a line of a worker is too long", extra={"device": device})
            continue
        if not line:
            return
        text = line.decode(errors="backslashreplace").rstrip()
        if not is_json or text.startswith("{"):
            verbatim.critical("%s", text)
        elif text:
            log.warning("a worker wrote to stderr", extra={"device": device, "line": text})
