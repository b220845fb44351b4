"""POST /admin/reload, for operators; there only where the settings ask for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.configuration.settings import Settings
from service.engine import Engine, LoadError
from service.errors import ReloadError
from service.http.answers import to_json
from service.http.keys import Keyring
from service.http.negotiation import JSON
from service.http.routes import require_models
from service.http.schemas import describe_model

log = logging.getLogger(__name__)


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
        try:
            await asyncio.to_thread(self._keyring.reload)
            # Whoever asked may leave; a reload that was begun is finished.
            await asyncio.shield(self._engine.reload())
        except (LoadError, ValueError, OSError) as error:
            # Its text may name files, which are the operator's business alone.
            log.error("reload failed", extra={"reason": str(error)})
            raise ReloadError(
                "what should be loaded cannot be had, and the old goes on serving; the server's "
                "log says why"
            ) from None
        return Response(to_json({"models": self._describe()}), media_type=JSON)

    def _describe(self) -> list[dict[str, Any]]:
        return [describe_model(model, self._settings) for model in self._engine.models]
