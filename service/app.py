"""Puts the application together: routes, error handling, documentation, life of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from service import openapi
from service.answers import to_json
from service.engine import Engine
from service.info_routes import InfoRoutes
from service.metrics import Metrics
from service.middleware import Envelope
from service.negotiation import JSON
from service.problems import install_problem_handlers
from service.routes import SegmentationRoutes
from service.settings import Settings

TITLE = "BlendMask server"
DISTRIBUTION = "blendmask-server"
ASSETS = "docs-assets"


def create_app(settings: Settings, engine: Engine) -> FastAPI:
    """Return the application; its lifespan starts and stops the engine."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        engine.stop()

    # Without redirect_slashes: behind a proxy the redirect would name the wrong host.
    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    SegmentationRoutes(settings, engine).add_to(app)
    InfoRoutes(settings, engine, metrics).add_to(app)
    document = openapi.document(TITLE, _version(), settings)
    _add_docs(app, to_json(document))
    install_problem_handlers(app, ("/docs", "/openapi.json", *document["paths"]))
    app.add_middleware(Envelope, metrics=metrics)
    return app


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0+unknown"


def _add_docs(app: FastAPI, document: bytes) -> None:
    async def show_document(request: Request) -> Response:
        return Response(document, media_type=JSON)

    async def show_page(request: Request) -> Response:
        # Relative addresses hold behind a proxy that adds a prefix.
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=TITLE,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        )

    # The page's script comes from an installed package, so it works without the internet.
    app.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_offline", "static")]))
    app.add_api_route("/openapi.json", show_document, methods=["GET", "HEAD"])
    app.add_api_route("/docs", show_page, methods=["GET", "HEAD"])
