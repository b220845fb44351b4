"""POST /cvat: what CVAT's serverless functions answer."""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.http.requests.json_body import read_json
from service.http.requests.sent_images import Body
from service.http.routes import SegmentationRoutes


class CvatRoutes:
    """The route of a serverless function."""

    def __init__(self, routes: SegmentationRoutes) -> None:
        self._routes = routes

    def add_to(self, app: FastAPI) -> None:
        """Register the route."""
        app.add_api_route("/cvat", self.detect, methods=["POST"])

    async def detect(self, request: Request) -> Response:
        """Answer with an image's shapes."""
        return await self._routes.answer("segment", request, _read)


def _read(data: bytes) -> Body:
    """Return the image of `{"image": base64, "threshold": …}`; CVAT may say more beside them."""
    body = read_json(data, max_images=1, takes_urls=False)
    threshold = body.options.get("threshold")
    options = {"format": "cvat"}
    return replace(
        body, options=options if threshold is None else {**options, "score_threshold": threshold}
    )
