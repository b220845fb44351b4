"""The guarded protocol on httptools, a parser in C. ImportError where that is not installed."""

from __future__ import annotations

import asyncio
from collections import deque

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.connections.body_parser import HeadSkipper, head_that_frames, open_parser
from service.http.connections.connection_state import MAX_HEAD_BYTES
from service.http.connections.guard import Guard, Reading

_TOO_MUCH_FRAMING = (
    f"between the bytes of the body are more than {MAX_HEAD_BYTES} others, extensions of chunks "
    "or trailers; leave them out"
)


class _HttpTools(HttpToolsProtocol):
    """uvicorn's protocol, but an offer of another protocol is ignored (RFC 9110, section 7.8).

    To the parser the end of such a head is the end of HTTP: it calls the request complete, and
    takes what follows for the next. So another parser goes on there, told how the body ends.
    """

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        self._unset_keepalive_if_required()
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))

    def _parse(self, data: bytes) -> bytes:
        """Return what is left to parse."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            skipper = HeadSkipper(self)
            self.parser = open_parser(skipper)
            self.parser.feed_data(head_that_frames(self.scope["headers"]))
            skipper.is_in_head = False
            return data[offer.args[0] :]
        return b""


class GuardedHttpTools(Guard, _HttpTools):
    """uvicorn's protocol on httptools."""

    _progress: Reading = "nothing"
    _num_body_bytes = 0
    _num_framing_bytes = 0
    _unanswered: deque[RequestResponseCycle]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with no requests."""
        self._unanswered = deque()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests that nobody waits for them; uvicorn tells the newest only."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def progress(self) -> Reading:
        """Return how far the client has come."""
        return self._progress

    def data_received(self, data: bytes) -> None:
        """Pass it on, and bound what a body brings besides its bytes."""
        num_before = self._num_body_bytes
        super().data_received(data)
        if self.reading() != "body" or self._num_body_bytes > num_before:
            self._num_framing_bytes = 0
            return
        self._num_framing_bytes += len(data)
        if self._num_framing_bytes > MAX_HEAD_BYTES:
            self.refuse(_TOO_MUCH_FRAMING)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._progress = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole."""
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._progress = "body"
        self.headers = []  # those of the request are in its scope; trailers are no part of them

    def on_body(self, body: bytes) -> None:
        """Some of the body has come."""
        self._num_body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, but where the parser knows only that its head is."""
        if self.parser.should_upgrade():
            return
        self._progress = "whole"
        self._num_head_bytes = 0  # what follows in the same packet belongs to another head
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request has its answer: the oldest one."""
        self._unanswered.popleft()
        super().on_response_complete()

    def begin_last_answer(self, scope: Scope) -> None:
        """Let the application answer that, after the requests that it has already."""
        previous = self.cycle
        self.cycle = self.last_cycle(
            RequestResponseCycle, scope, expect_100_continue=False, keep_alive=False
        )
        self._unanswered.append(self.cycle)
        if previous is None or previous.response_complete:
            self.run(self.cycle)
        else:
            self.pipeline.appendleft((self.cycle, self.app))
