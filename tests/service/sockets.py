"""The application on a real socket, in a thread of this process; and a client that is rude."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from service_fakes import FakeEngine, app_of

from service.http.connections.guard import ConnectionLimits, Guard
from service.http.connections.server import guarded_by


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def listening(
    base: type[Guard], engine: FakeEngine | None = None, **settings: Any
) -> Iterator[tuple[tuple[str, int], uvicorn.Server]]:
    """Serve on a free port until the block ends; give the address and the server."""
    limits = ConnectionLimits(
        head_timeout_s=settings.get("head_timeout_s", 30),
        body_timeout_s=settings.get("body_timeout_s", 30),
        max_connections=settings.get("max_connections", 1000),
    )
    config = uvicorn.Config(
        app_of(engine, **settings),
        http=guarded_by(limits, base),
        ws="none",
        timeout_keep_alive=settings.get("keep_alive_s", 75),
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
        )
        thread.start()
        try:
            yield listener.getsockname(), server
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


class Client:
    """A plain socket. What it waits for must come within 20 s."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        self._text = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields in lower case, and body of the next answer."""
        while b"\r\n\r\n" not in self._text:
            self._read_more()
        head, _, self._text = self._text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(fields.get("content-length", 0))
        while len(self._text) < length:
            self._read_more()
        body, self._text = self._text[:length], self._text[length:]
        return int(first.split()[1]), fields, body

    def is_closed(self) -> bool:
        """Wait for the server to close the connection, orderly or not."""
        self.rest()
        return True

    def rest(self) -> bytes:
        """What comes until the server closes the connection, orderly or not."""
        try:
            while data := self._socket.recv(65536):
                self._text += data
        except ConnectionError:
            pass
        return self._text

    def _read_more(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"the connection ended after {self._text!r}"
        self._text += data
