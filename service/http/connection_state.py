"""What the HTTP server tells the application of a connection, and the header field that follows."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Keys of the scope's "state". A function that returns whether some of the body is yet to come;
# and, there only where it holds, that more connections are open than should be.
BODY_IS_PENDING = "blendmask.body_is_pending"
IS_CROWDED = "blendmask.is_crowded"


class CloseUnread:
    """ASGI middleware: an answer before the whole body, or in a crowd, says that it is the last."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        state = scope.get("state", {})
        is_pending: Callable[[], bool] | None = state.get(BODY_IS_PENDING)
        if is_pending is None:  # no request, or a server of another make
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and (is_pending() or IS_CROWDED in state):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_last)
