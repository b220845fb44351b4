"""Lets pages of other origins call the API from a browser, where the operator names them (CORS)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import FeatureOffError
from service.http.problems import problem_response
from service.watch.request_context import context_of
from service.wording import quoted

# What a page may read beside the body.
_EXPOSED = ("X-Request-ID", "Server-Timing", "Retry-After")
# How long a browser may rely on an answer to its question, in seconds.
_MAX_AGE_S = 600


class CrossOrigin:
    """ASGI middleware: answers a browser's questions, and marks the answers to its pages.

    Args:
        origins: of the pages; "*" for all.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        # No credentials: keys travel in a header that a page sets itself.
        self._marked = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=_MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a question that has to be answered with no, and pass on all else."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            origin = self._refused(Headers(scope=scope))
            if origin is not None:
                refusal = FeatureOffError(
                    f"pages of {quoted(origin)} may not call this server; its setting "
                    "cors_origins would allow them"
                )
                response = problem_response(refusal, context_of(Request(scope)).request_id)
                response.headers["Vary"] = "Origin"
                await response(scope, receive, send)
                return
        await self._marked(scope, receive, send)

    def _refused(self, headers: Headers) -> str | None:
        origin = headers.get("origin")
        if origin is None or "access-control-request-method" not in headers:
            return None
        return None if self._marked.is_allowed_origin(origin) else origin
