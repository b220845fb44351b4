"""GET /: the page that shows a person what the model does, and the files that it is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import MappingProxyType

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.errors import NoSuchRouteError
from service.wording import quoted

FOLDER = Path(__file__).parents[1] / "page"
# Under the digest of all files: a new edition of the page has new addresses, so that what a browser
# keeps never mixes two.
ASSETS_PATH = "/page/{digest}/{name:path}"
# Nothing from elsewhere, nothing inline. Pictures of the visitor are shown as blob:.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".jpg": "image/jpeg",
    }
)
_METHODS = ["GET", "HEAD"]
# File, and what a person who cannot see it is told.
_EXAMPLES = (
    ("astronaut.jpg", "An astronaut in her suit"),
    ("chelsea.jpg", "A cat looking up"),
    ("motorcycle.jpg", "A motorcycle in a workshop"),
    ("coffee.jpg", "A cup of coffee with a spoon"),
)
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page and its files, in memory. digest: of all of them."""

    html: bytes
    files: dict[str, bytes]
    digest: str


def load_page(folder: Path = FOLDER) -> Page:
    """Return the page as it lies in the package."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    template = files.pop("index.html")
    digest = hashlib.sha256(template)
    for name, data in files.items():
        digest.update(f"{name} {len(data)} ".encode() + data)
    edition = digest.hexdigest()[:16]
    assets = f"page/{edition}"  # relative, so that it holds behind a proxy that adds a prefix
    examples = "".join(
        f'<li><button type="button"><img src="{assets}/examples/{file}" alt="{escape(what)}">'
        "</button></li>"
        for file, what in _EXAMPLES
    )
    html = template.decode().replace("{assets}", assets).replace("{examples}", examples)
    return Page(html=html.encode(), files=files, digest=edition)


class PageRoutes:
    """The page at / and its files."""

    def __init__(self) -> None:
        self._page = load_page()

    def add_to(self, app: FastAPI) -> None:
        """Register the routes."""
        app.add_api_route("/", self.page, methods=_METHODS)
        app.add_api_route(ASSETS_PATH, self.file, methods=_METHODS)

    async def page(self, request: Request) -> Response:
        """Answer with the page; a browser asks each time whether it is still the same."""
        tag = f'"{self._page.digest}"'
        head = {
            "Cache-Control": "no-cache",
            "ETag": tag,
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=head)
        return Response(self._page.html, media_type=_TYPES[".html"], headers=head)

    async def file(self, request: Request) -> Response:
        """Answer with one of the page's files, which a browser may keep for ever."""
        name = request.path_params["name"]
        data = self._page.files.get(name)
        if data is None or request.path_params["digest"] != self._page.digest:
            raise NoSuchRouteError(
                f"the page has no file {quoted(name)} in this edition; load / again"
            )
        head = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=_TYPES[Path(name).suffix], headers=head)
