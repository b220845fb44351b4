"""A small web server that speaks as much of the hub as its client needs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class WeightsServer:
    """What it serves, by path, and what it was asked.

    cut: paths whose bodies end too early. moved: path -> where it sends the client instead.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def put_on_hub(self, repository: str, name: str, content: bytes) -> None:
        """Serve a file as the hub would."""
        self.files[f"/{repository}/resolve/main/{name}"] = content


@contextmanager
def weights_server() -> Iterator[WeightsServer]:
    """A server on this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            state.requests.append(f"{self.command} {self.path}")
            path = self.path.replace(f"/resolve/{COMMIT}/", "/resolve/main/")
            content = state.files.get(path)
            status = state.statuses.get(path, 200 if content is not None else 404)
            if path in state.moved:
                self.send_response(302)
                self.send_header("Location", state.moved[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content if status == 200 and content is not None else b""
            self.send_response(status)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            if status == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            if with_body:
                self.wfile.write(body[: len(body) // 2] if path in state.cut else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (base class)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = WeightsServer(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
