"""Around every request: its id, Server-Timing, a line in the log, the metrics, and the last net."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.context import RequestContext, open_context
from service.errors import INTERNAL_DETAIL, ClientGoneError, InternalError
from service.logs import current_request_id
from service.metrics import Metrics
from service.problems import problem_response

log = logging.getLogger(__name__)

UNMATCHED = "(none)"
# Asked every few seconds by machines; not worth a line each.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class Envelope:
    """ASGI middleware; the outermost of ours, so that nothing escapes it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on; other traffic goes by untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope, Headers(scope=scope).get("x-request-id"))
        token = current_request_id.set(context.request_id)
        # Until an answer begins, the only way to end without one is that nobody waits for it.
        status = ClientGoneError.status
        has_begun = False

        async def send_labelled(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = context.request_id
                headers["Server-Timing"] = context.server_timing()
            await send(message)

        try:
            await self._app(scope, receive, send_labelled)
        except Exception:
            log.exception("request failed")
            if has_begun:
                raise  # the server cuts the connection, so that half an answer shows as such
            response = problem_response(InternalError(INTERNAL_DETAIL), context.request_id)
            await response(scope, receive, send_labelled)
        finally:
            self._account(scope, context, status)
            current_request_id.reset(token)

    def _account(self, scope: Scope, context: RequestContext, status: int) -> None:
        template = getattr(scope.get("route"), "path", UNMATCHED)
        # Whoever asks for a method or a path of his own must not get a time series for it.
        method = scope["method"] if template != UNMATCHED and status != 405 else UNMATCHED
        seconds = time.perf_counter() - context.started
        self._metrics.observe(
            method=method, route=template, code=status, seconds=seconds, stages=context.stages
        )
        log.log(
            logging.DEBUG if template in PROBES else logging.INFO,
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "code": status,
                "ms": 1000 * seconds,
            },
        )
