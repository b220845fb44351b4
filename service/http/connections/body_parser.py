"""Lets a parser of httptools begin at a body whose head another one has read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httptools

_FRAMING = (b"content-length", b"transfer-encoding")


class HeadSkipper:
    """Passes on to a protocol what a parser finds; of heads, nothing while `is_in_head`."""

    def __init__(self, protocol: Any) -> None:
        self.is_in_head = True
        self.on_message_begin = self._unless_in_head(protocol.on_message_begin)
        self.on_url = self._unless_in_head(protocol.on_url)
        self.on_header = self._unless_in_head(protocol.on_header)
        self.on_headers_complete = self._unless_in_head(protocol.on_headers_complete)
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def _unless_in_head(self, tell: Callable[..., None]) -> Callable[..., None]:
        def hear(*found: bytes) -> None:
            if not self.is_in_head:
                tell(*found)

        return hear


def open_parser(listener: Any) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes its own."""
    parser = httptools.HttpRequestParser(listener)
    # Or a request behind one that said that it was the last would spoil the latter's answer.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def head_that_frames(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of some request whose body ends where one with those fields ends.

    Args:
        headers: names in lower case, and values, as a parser found them.
    """
    fields = (b"%b: %b\r\n" % (name, value) for name, value in headers if name in _FRAMING)
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(fields)
