"""A transport that is closed the way its owner wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """A transport whose `close` is its owner's, after which nothing more is written."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._close = close
        self._has_ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write it, unless it was closed."""
        if not self._has_ended:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether it was closed, or is cut off."""
        return self._has_ended or self._transport.is_closing()

    def close(self) -> None:
        """Let the owner close it, once."""
        if not self.is_closing():
            self._has_ended = True
            self._close()
