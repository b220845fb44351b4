"""A route without what FastAPI works out for each request."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route whose function and whose dependencies take the request, and nothing else.

    FastAPI works out what they want again for each request, which takes it a tenth of a
    millisecond; here they are called.
    """

    def get_route_handler(self) -> Endpoint:
        """Return what answers a request; FastAPI's way to change how."""
        guards = [dependency.dependency for dependency in self.dependencies]

        async def handle(request: Request) -> Response:
            for guard in guards:
                assert guard is not None
                await guard(request)
            response: Response = await self.endpoint(request)
            return response

        return handle
