"""API keys: who may use the service, judged from a request's head, before its body is read."""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress

from starlette.requests import Request

from service.errors import KeyRequiredError, UnavailableError
from service.http.connections.connection_state import IS_CROWDED
from service.http.probes import PROBES
from service.keyring import Keyring

# What machines that hold no key ask for, and what tells a person how to use the service.
OPEN_PATHS = frozenset(
    {"/", "/page/{digest}/{name:path}", "/healthz", "/readyz", "/docs", "/openapi.json"}
)
METRICS_PATH = "/metrics"


class Doorkeeper:
    """A dependency of all routes: refuses requests without a key, and those of a crowd."""

    def __init__(self, keyring: Keyring, *, guards_metrics: bool) -> None:
        self._keyring = keyring
        self._open = open_paths(guards_metrics=guards_metrics)

    async def __call__(self, request: Request) -> None:
        """Let the request pass, or refuse it.

        Raises:
            KeyRequiredError: it brings no key, or a wrong one.
            UnavailableError: too many connections are open. Probes pass.
        """
        path = request.scope["route"].path
        if IS_CROWDED in request.scope.get("state", {}) and path not in PROBES:
            raise UnavailableError(
                "too many connections are open; close some, or try again later", retry_after_s=1
            )
        if not self._keyring.is_on or path in self._open:
            return
        candidates = _candidates(request)
        if not candidates:
            raise KeyRequiredError(
                "an API key is required; send it as Authorization: Bearer <key> or X-API-Key: <key>"
            )
        # All are tried, so that the time tells nothing of which it was.
        if sum(self._keyring.opens(candidate) for candidate in candidates) == 0:
            raise KeyRequiredError("the API key that was sent is not known; send one that is")


def open_paths(*, guards_metrics: bool) -> frozenset[str]:
    """Return the paths that need no key: templates of routes."""
    return OPEN_PATHS if guards_metrics else OPEN_PATHS | {METRICS_PATH}


def _candidates(request: Request) -> list[str]:
    """Return what may be a key: a proxy's or a client's own bearer token may come beside ours."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    told = token.strip() if scheme.lower() == "bearer" else ""
    if scheme.lower() == "basic":  # of tools that know no other: the password is the key
        with suppress(ValueError):
            told = b64decode(token.strip(), validate=True).decode().partition(":")[2]
    return [*([told] if told else []), *request.headers.getlist("x-api-key")[:1]]
