"""The guarded protocol on h11, a parser in plain Python."""

from __future__ import annotations

from typing import Any

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from service.http.connections.connection_state import MAX_HEAD_BYTES
from service.http.connections.guard import Guard, Reading


class GuardedH11(Guard, H11Protocol):
    """uvicorn's protocol on h11."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)

    def progress(self) -> Reading:
        """Return how far the client has come."""
        state = self.conn.their_state
        if state is h11.IDLE:
            return "head" if self.conn.trailing_data[0] else "nothing"
        if state is h11.SEND_BODY:
            return "body"
        return "rubbish" if state is h11.ERROR else "whole"

    def begin_last_answer(self, scope: Scope) -> None:
        """Let the application answer that, unless the last answer is on its way already.

        h11 looks at nothing behind a request before that is answered, but for what follows one
        that said itself that it is the last: there all that is left is to close.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            return
        self.cycle = self.last_cycle(RequestResponseCycle, scope, conn=self.conn)
        self.run(self.cycle)

    def _should_upgrade(self) -> bool:
        return False  # an offer of another protocol may be ignored (RFC 9110, section 7.8)
