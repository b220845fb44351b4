"""From exceptions to application/problem+json responses: the only place that does it."""

from __future__ import annotations

import re
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

# What other servers call our routes, or a word in it; the first that fits is named.
_OTHERS_WORDS = {
    "/admin/reload": {"reload"},
    "/readyz": {"ready", "readiness"},
    "/healthz": {"health", "healthcheck", "live", "livez", "liveness", "alive", "ping", "status"},
    "/panoptic": {"panoptic", "semantic"},
    "/segment": {
        "segment", "segmentation", "instances", "predict", "predictions", "infer", "inference",
        "invocations", "detect", "detections", "mask", "masks", "image", "images", "upload",
    },
    "/metrics": {"metrics", "prometheus", "stats"},
    "/openapi.json": {"openapi"},
    "/docs": {"docs", "doc", "redoc", "swagger", "help"},
    "/models": {"models", "model", "info", "version"},
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_MAX_PATH = 1000


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


def _meant_route(path: str, paths: tuple[str, ...]) -> str:
    """Return the route of ours that does what the path says, or else the one most like it."""
    words = set(_WORD.findall(path[:_MAX_PATH].lower()))
    for route, meant_by in _OTHERS_WORDS.items():
        if route in paths and not words.isdisjoint(meant_by):
            return route
    return nearest(path, paths)


def _translate(error: HTTPException, request: Request, paths: tuple[str, ...]) -> ServiceError:
    path = request.url.path
    if error.status_code == 404:
        return NoSuchRouteError(
            f"there is no route {quoted(path)}; the nearest one is {_meant_route(path, paths)}"
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return WrongMethodError(f"{request.method[:40]} is not for {quoted(path)}; use {allowed}")
    if error.status_code < 500:
        return MalformedError("the request cannot be read; check its head and body")
    return InternalError(INTERNAL_DETAIL)
