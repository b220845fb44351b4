"""What the HTTP server tells the application of a connection, and the header field that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Keys of the scope's "state". A function that takes the latter and returns whether some of the
# body is yet to come; and, there only where it holds, that more connections are open than should
# be, and why what has come of the request is not what its sender meant.
BODY_IS_PENDING = "blendmask.body_is_pending"
IS_CROWDED = "blendmask.is_crowded"
FAULT = "blendmask.fault"

MAX_HEAD_BYTES = 64 * 2**10
HEAD_IS_TOO_LARGE = (
    f"the request's head has more than {MAX_HEAD_BYTES} bytes; shorten its URL or its fields"
)
NO_HTTP = "what was sent is not HTTP/1.1, or breaks its rules; check its head and how its body ends"
# What stands for the parts of a request that cannot be known.
_UNKNOWN = "(none)"


def scope_of_fault(fault: str, state: Mapping[str, Any]) -> Scope:
    """Return what stands for a request where what came is none.

    Args:
        state: that of the connection.
    """
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": _UNKNOWN,
        "path": _UNKNOWN,
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
        "state": {**state, FAULT: fault},
    }


class CloseUnread:
    """ASGI middleware: an answer before the whole body, or in a crowd, says that it is the last.

    So does one to a request that is none, or breaks off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        state: dict[str, Any] = scope.get("state", {})
        is_pending: Callable[[Mapping[str, Any]], bool] | None = state.get(BODY_IS_PENDING)
        if is_pending is None:  # no request, or a server of another make
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and (
                is_pending(state) or IS_CROWDED in state or FAULT in state
            ):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_last)
