"""Puts the application together: routes, error handling, documentation, life of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from model.version import installed_version
from service.configuration.settings import Settings
from service.engine import Engine
from service.http.admin_routes import AdminRoutes
from service.http.connections.connection_state import CloseUnread
from service.http.cors import CrossOrigin
from service.http.faults import RefuseFaults
from service.http.info_routes import InfoRoutes
from service.http.keys import Doorkeeper
from service.http.middleware import Envelope, LastNet
from service.http.openapi import document as openapi
from service.http.page_routes import PageRoutes
from service.http.problems import install_problem_handlers
from service.http.requests.negotiation import JSON
from service.http.routes import SegmentationRoutes
from service.http.tools.convert_routes import ConvertRoutes
from service.http.tools.cvat_routes import CvatRoutes
from service.http.tools.labelstudio_routes import LabelStudioRoutes
from service.json_bytes import to_json
from service.keyring import Keyring, open_keyring
from service.watch.loop_lag import sample_lag
from service.watch.metrics import Metrics

if TYPE_CHECKING:
    from service.watch.tracing_spans import Tracing

TITLE = "BlendMask server"
ASSETS = "docs-assets"


def create_app(
    settings: Settings,
    engine: Engine,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
    keyring: Keyring | None = None,
) -> FastAPI:
    """Return the application; its lifespan starts and stops the engine.

    Args:
        metrics: where the engine counts, too; None: new ones.
        tracing: what makes spans; None: nobody wants any.
        keyring: the API keys; None: those that the settings name.
    Raises:
        ValueError, OSError: the file of keys cannot be read.
    """
    metrics = metrics or Metrics()
    metrics.watch_readiness(lambda: engine.unready_reason)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sampling = asyncio.create_task(sample_lag(metrics.loop_lag))
        engine.start()
        yield
        engine.stop()
        sampling.cancel()

    keyring = keyring or open_keyring(settings)
    doorkeeper = Doorkeeper(keyring, guards_metrics=settings.keys_guard_metrics)
    # Without redirect_slashes: behind a proxy the redirect would name the wrong host.
    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(doorkeeper)],
    )
    segmentation = SegmentationRoutes(settings, engine)
    segmentation.add_to(app)
    InfoRoutes(settings, engine, metrics).add_to(app)
    if settings.convert:
        ConvertRoutes(settings).add_to(app)
    if settings.labelling_tools:
        LabelStudioRoutes(settings, engine, segmentation).add_to(app)
        CvatRoutes(segmentation).add_to(app)
    if settings.page:
        PageRoutes().add_to(app)
    if settings.admin:
        AdminRoutes(settings, engine, keyring).add_to(app)
    document = openapi.document(TITLE, installed_version(), settings, has_keys=keyring.is_on)
    _add_docs(app, to_json(document))
    install_problem_handlers(app, ("/docs", "/openapi.json", *document["paths"]))
    app.add_middleware(RefuseFaults)
    app.add_middleware(CloseUnread)
    app.add_middleware(LastNet)
    if settings.cors_origins:  # around the net: a page reads of a defect, too
        app.add_middleware(CrossOrigin, origins=settings.cors_origins)
    app.add_middleware(Envelope, metrics=metrics, tracing=tracing)
    return app


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
