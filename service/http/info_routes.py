"""The routes that tell about the server: its health, its models, its metrics."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.configuration.settings import Settings
from service.engine import Engine, ModelInfo
from service.errors import UnavailableError
from service.http.loaded_models import RETRY_S, find_model, require_models
from service.http.openapi.schemas import describe_model
from service.http.requests.negotiation import JSON
from service.json_bytes import to_json
from service.watch import metrics
from service.watch.metrics import Metrics

_METHODS = ["GET", "HEAD"]


class InfoRoutes:
    """The routes that run nothing."""

    def __init__(self, settings: Settings, engine: Engine, counters: Metrics) -> None:
        self._settings = settings
        self._engine = engine
        self._counters = counters

    def add_to(self, app: FastAPI) -> None:
        """Register the routes."""
        app.add_api_route("/healthz", self.health, methods=_METHODS)
        app.add_api_route("/readyz", self.readiness, methods=_METHODS)
        app.add_api_route("/models", self.models, methods=_METHODS)
        app.add_api_route("/models/{name:path}", self.model, methods=_METHODS)
        app.add_api_route("/metrics", self.metrics, methods=_METHODS)

    async def health(self, request: Request) -> Response:
        """Answer at all."""
        return _json({"status": "ok"})

    async def readiness(self, request: Request) -> Response:
        """Answer 200 while new traffic should come, else 503 with the reason."""
        reason = self._engine.unready_reason
        if reason is not None:
            raise UnavailableError(f"{reason}; ask again later", retry_after_s=RETRY_S)
        return _json({"status": "ready"})

    async def models(self, request: Request) -> Response:
        """List the loaded models."""
        loaded = require_models(self._engine)
        return _json({"models": [self._describe(model) for model in loaded]})

    async def model(self, request: Request) -> Response:
        """Describe one loaded model; its name may have slashes in it."""
        loaded = require_models(self._engine)
        return _json(self._describe(find_model(loaded, request.path_params["name"])))

    async def metrics(self, request: Request) -> Response:
        """Tell Prometheus."""
        return Response(self._counters.render(), media_type=metrics.MEDIA_TYPE)

    def _describe(self, model: ModelInfo) -> dict[str, Any]:
        return describe_model(model, self._settings)


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type=JSON)
