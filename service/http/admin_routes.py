"""POST /admin/reload, for operators; there only where the settings ask for it."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.configuration.settings import Settings
from service.engine import Engine
from service.http.loaded_models import require_models
from service.http.openapi.schemas import describe_model
from service.http.requests.negotiation import JSON
from service.json_bytes import to_json
from service.keyring import Keyring
from service.reloading import reload_all


class AdminRoutes:
    """The routes that change something."""

    def __init__(self, settings: Settings, engine: Engine, keyring: Keyring) -> None:
        self._settings = settings
        self._engine = engine
        self._keyring = keyring

    def add_to(self, app: FastAPI) -> None:
        """Register the routes."""
        app.add_api_route("/admin/reload", self.reload, methods=["POST"])

    async def reload(self, request: Request) -> Response:
        """Load weights and keys anew, and answer with the models once they serve."""
        require_models(self._engine)
        # Whoever asked may leave; a reload that was begun is finished.
        await asyncio.shield(reload_all(self._engine, self._keyring))
        return Response(to_json({"models": self._describe()}), media_type=JSON)

    def _describe(self) -> list[dict[str, Any]]:
        return [describe_model(model, self._settings) for model in self._engine.models]
