"""Answers what is no proper HTTP request: with a problem document, as all that is refused."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import MalformedError
from service.http.connections.connection_state import FAULT, HEAD_IS_TOO_LARGE, MAX_HEAD_BYTES
from service.http.problems import problem_response
from service.watch.request_context import context_of

# Spaces and the version in the first line, and the empty one behind the fields; what sets a
# field's name apart from its value, and that from the next field.
_NUM_BYTES_OF_LINES, _NUM_BYTES_OF_FIELD = 14, 4


class RefuseFaults:
    """ASGI middleware: 400 for what the HTTP server calls a fault, and for a head too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            state = scope.setdefault("state", {})
            if head_bytes(scope) > MAX_HEAD_BYTES:
                state[FAULT] = HEAD_IS_TOO_LARGE
            if FAULT in state:
                request_id = context_of(Request(scope)).request_id
                refusal = problem_response(MalformedError(state[FAULT]), request_id)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def head_bytes(scope: Scope) -> int:
    """Return how many bytes the head of a request has, if it has no needless space in it."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    path: bytes = scope.get("raw_path") or b""
    query: bytes = scope["query_string"]
    first_line = len(scope["method"]) + len(path) + len(query) + (query != b"")
    fields = sum(len(name) + len(value) + _NUM_BYTES_OF_FIELD for name, value in headers)
    return first_line + fields + _NUM_BYTES_OF_LINES
