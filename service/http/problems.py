"""From exceptions to application/problem+json responses: the only place that does it."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.errors import (
    INTERNAL_DETAIL,
    MEDIA_TYPE,
    InternalError,
    MalformedError,
    NoSuchRouteError,
    OptionError,
    ServiceError,
    WrongMethodError,
    headers,
    problem,
)
from service.watch.request_context import context_of
from service.wording import nearest, quoted


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Return the response that tells a client of an error."""
    return Response(
        problem(error, request_id),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers=headers(error),
    )


def install_problem_handlers(app: FastAPI, paths: Iterable[str]) -> None:
    """Make every error of the app answer as a problem document.

    Args:
        paths: the app's routes, to name the one that was perhaps meant.
    """
    known = tuple(paths)

    async def on_service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return problem_response(error, context_of(request).request_id)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = problem_response(
            _translate(error, request, known), context_of(request).request_id
        )
        response.headers.update(error.headers or {})
        return response

    async def on_invalid(request: Request, error: Exception) -> Response:
        refusal = OptionError("the request does not fit the route; see /docs")
        return problem_response(refusal, context_of(request).request_id)

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)


def _translate(error: HTTPException, request: Request, paths: tuple[str, ...]) -> ServiceError:
    path = request.url.path
    if error.status_code == 404:
        return NoSuchRouteError(
            f"there is no route {quoted(path)}; the nearest one is {nearest(path, paths)}"
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return WrongMethodError(f"{request.method[:40]} is not for {quoted(path)}; use {allowed}")
    if error.status_code < 500:
        return MalformedError("the request cannot be read; check its head and body")
    return InternalError(INTERNAL_DETAIL)
