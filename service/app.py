"""Puts the application together: routes, error handling, documentation, life of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service import openapi
from service.engine import Engine
from service.info_routes import InfoRoutes
from service.metrics import Metrics
from service.middleware import Envelope
from service.problems import install_problem_handlers
from service.routes import SegmentationRoutes
from service.settings import Settings

TITLE = "BlendMask server"
DISTRIBUTION = "blendmask-server"


def create_app(settings: Settings, engine: Engine) -> FastAPI:
    """Return the application; its lifespan starts and stops the engine."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        engine.stop()

    # Without redirect_slashes: behind a proxy the redirect would name the wrong host.
    app = FastAPI(
        title=TITLE,
        version=version(DISTRIBUTION),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    SegmentationRoutes(settings, engine).add_to(app)
    InfoRoutes(settings, engine, metrics).add_to(app)
    app.openapi_schema = openapi.document(TITLE, app.version, settings)
    paths = ("/docs", "/openapi.json", *app.openapi_schema["paths"])
    install_problem_handlers(app, paths)
    app.add_middleware(Envelope, metrics=metrics)
    return app
