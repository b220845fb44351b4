"""Cuts off a client that does not take its answer."""

from __future__ import annotations

import asyncio

# A client that takes less than that within a time limit has stopped to read.
MIN_PROGRESS_BYTES = 64 * 2**10


class WriteWatch:
    """Looks every so often whether what waits to be written gets less.

    Args:
        timeout_s: between two looks.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, timeout_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._num_unsent = 0

    def start(self) -> None:
        """Begin, if something waits and nobody looks yet."""
        num_unsent = self._transport.get_write_buffer_size()
        if self._timer is None and num_unsent:
            self._num_unsent = num_unsent
            self._timer = self._loop.call_later(self._timeout_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        most = max(0, self._num_unsent - MIN_PROGRESS_BYTES)
        if self._transport.get_write_buffer_size() > most:
            self._transport.abort()
        else:
            self.start()
