"""Around every request: its ids, Server-Timing, a log line, metrics, a span; and the last net."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import INTERNAL_DETAIL, ClientGoneError, InternalError
from service.http.probes import PROBES
from service.http.problems import problem_response
from service.watch.logs import logged_as
from service.watch.metrics import Metrics
from service.watch.request_context import RequestContext, context_of, open_context

if TYPE_CHECKING:
    from service.watch.tracing_spans import Tracing

log = logging.getLogger(__name__)

UNMATCHED = "(none)"
# Of a path that is logged; a caller can send one of tens of thousands of characters.
_MAX_PATH = 200
_MAX_METHOD = 40


class Envelope:
    """ASGI middleware; the outermost of ours, so that nothing escapes it. `LastNet` lies within."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on; other traffic goes by untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = open_context(scope, headers.get("x-request-id"), headers.get("traceparent"))
        is_probe = scope["path"] in PROBES  # not worth a line or a span each
        tracing = None if is_probe else self._tracing
        span = None if tracing is None else tracing.begin_request(scope, context)
        # Until an answer begins, the only way to end without one is that nobody waits for it.
        status = ClientGoneError.status

        async def send_labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                labels = MutableHeaders(scope=message)
                labels["X-Request-ID"] = context.request_id
                labels["Server-Timing"] = context.server_timing()
            await send(message)

        with (
            logged_as(context.request_id, context.trace_id),
            nullcontext() if is_probe else self._metrics.in_flight(),
        ):
            try:
                await self._app(scope, receive, send_labelled)
            finally:
                self._account(scope, context, status)
                if span is not None:
                    span.end(route=_template(scope), code=status)

    def _account(self, scope: Scope, context: RequestContext, status: int) -> None:
        route = _template(scope) or UNMATCHED
        # Whoever asks for a method or a path of his own must not get a time series for it.
        method = scope["method"] if route != UNMATCHED and status != 405 else UNMATCHED
        seconds = time.perf_counter() - context.started
        self._metrics.observe(
            method=method, route=route, code=status, seconds=seconds, stages=context.stages
        )
        fields = {
            "method": scope["method"][:_MAX_METHOD],
            "route": route,
            "code": status,
            "ms": 1000 * seconds,
        }
        if scope["path"] != route:
            fields["path"] = scope["path"][:_MAX_PATH]
        if context.num_images is not None:
            fields["images"] = context.num_images
        if "queue" in context.stages:
            fields["queue_ms"] = 1000 * context.stages["queue"]
        log.log(logging.DEBUG if route in PROBES else logging.INFO, "request", extra=fields)


class LastNet:
    """ASGI middleware: what the application raises becomes a 500 while there is time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer an HTTP request; other traffic goes by untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            log.exception("request failed")
            if has_begun:
                raise  # the server cuts the connection, so that half an answer shows as such
            request_id = context_of(Request(scope)).request_id
            response = problem_response(InternalError(INTERNAL_DETAIL), request_id)
            await response(scope, receive, send)


def _template(scope: Scope) -> str | None:
    """Return the matched route's template; None if none matched."""
    template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else None
