"""The guarded protocol on httptools, a parser in C. ImportError where that is not installed."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.server import Guard, Reading


class GuardedHttpTools(Guard, HttpToolsProtocol):
    """uvicorn's protocol on httptools."""

    _reading: Reading = "nothing"

    def reading(self) -> Reading:
        """Return how far the client has come."""
        return self._reading

    def on_message_begin(self) -> None:
        """A head begins."""
        self._reading = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole."""
        self._reading = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """So is the request."""
        self._reading = "whole"
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._reading = "rubbish"
        super().send_400_response(msg)
