"""A server on a real socket that does with each request what a script says, and counts them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EMPTY = {
    "model": {"name": "tiny", "weights": "sha256:00", "categories": "coco"},
    "images": [{"id": None, "width": 8, "height": 6, "instances": [], "segments": []}],
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one request.

    status, fields, body: of the answer; body None: of an answer without instances.
    closes: 0 closes the connection unanswered, a number after so many bytes of the body.
    pause_s: before the answer. byte_s: between the bytes of its body.
    """

    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    closes: int | None = None
    pause_s: float = 0
    byte_s: float = 0


@dataclass(kw_only=True)
class Request:
    """One that came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class Scripted:
    """The server. requests: that came, in order."""

    url: str
    requests: list[Request]


def problem(status: int, detail: str = "no.") -> bytes:
    """A problem document."""
    told = {"type": "t", "title": "Refused", "status": status, "detail": detail}
    return json.dumps({**told, "request_id": "r1"}).encode()


@contextmanager
def scripted(*steps: Step) -> Iterator[Scripted]:
    """Serve the steps in order, the last of them again and again."""
    waiting = list(steps)
    requests: list[Request] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *said: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fields = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                requests.append(Request(path=self.path, headers=fields, body=body))
                step = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            time.sleep(step.pause_s)
            if step.closes == 0:
                self.close_connection = True
                return
            answer = json.dumps(EMPTY).encode() if step.body is None else step.body
            try:
                self._send(step, answer)
            except ConnectionError:  # the client has had enough
                self.close_connection = True

        def _send(self, step: Step, answer: bytes) -> None:
            self.send_response(step.status)
            for name, value in step.fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if step.closes is not None:
                self.close_connection = True
            if not step.byte_s:
                self.wfile.write(answer[: step.closes])
                return
            for byte in answer:
                self.wfile.write(bytes([byte]))
                time.sleep(step.byte_s)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Scripted(url=f"http://127.0.0.1:{server.server_port}", requests=requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
