"""Clients that never tire, and an exact account of what became of each of their requests."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

# Longer than any deadline here, and than what a request may take after it.
HUNG_S = 60.0
# What a request may be answered with while workers come and go.
_USUAL = frozenset({200, 429, 503, 504})
_WAIT_OR_GO_AWAY = frozenset({429, 503})


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Encoded bytes; the size tells whether an answer is this picture's."""

    data: bytes
    width: int
    height: int


@dataclass(kw_only=True)
class Tally:
    """What became of the requests.

    lost: sent whole, and the connection ended without an answer. twice: more came on a connection
    than was asked. hung: nothing came in `HUNG_S`. wrong: another request's answer, a status that
    must not be, or a refusal that does not say when to come again. turned_away: nobody listened.
    resent: an idle connection had been closed by the server, so the request went over a new one.
    """

    sent: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    twice: int = 0
    hung: int = 0
    wrong: list[str] = field(default_factory=list)
    turned_away: int = 0
    resent: int = 0
    slowest_s: float = 0.0

    def faults(self) -> list[str]:
        """Return what must not have happened, in words."""
        found = [*self.lost, *self.wrong]
        found += [f"{self.twice} answered twice"] if self.twice else []
        found += [f"{self.hung} without an answer after {HUNG_S:g} s"] if self.hung else []
        answered = self.codes.total() + len(self.lost) + self.hung + self.turned_away
        if answered != self.sent:
            found.append(f"{self.sent} sent, but {answered} accounted for")
        return found


def noisy_picture(width: int, height: int, seed: int = 0) -> Picture:
    """Return a JPEG that is like no other."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=70)
    return Picture(data=buffer.getvalue(), width=width, height=height)


def plain_picture(colour: tuple[int, int, int], width: int = 96, height: int = 64) -> Picture:
    """Return a PNG of one colour, which `faulty_worker.py` may know."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return Picture(data=buffer.getvalue(), width=width, height=height)


class Client:
    """One keep-alive connection at a time; requests one after the other."""

    def __init__(self, url: str, tally: Tally, lock: threading.Lock) -> None:
        self._host = urlsplit(url).netloc
        self._tally = tally
        self._lock = lock
        self._connection: http.client.HTTPConnection | None = None

    def post(
        self,
        picture: Picture,
        request_id: str,
        path: str = "/segment",
        allowed: frozenset[int] = _USUAL,
    ) -> int | None:
        """Send a picture, account for the answer, and return its code; None if there is none."""
        with self._lock:
            self._tally.sent += 1
        begun = time.monotonic()
        try:
            code, wrong = self._answer(picture, request_id, path, allowed)
        except ConnectionRefusedError:
            self._count("turned_away")
            return None
        except TimeoutError:
            self._count("hung")
            return None
        except (OSError, http.client.HTTPException) as error:
            with self._lock:
                self._tally.lost.append(f"{request_id} lost: {error!r}")
            return None
        with self._lock:
            self._tally.codes[code] += 1
            self._tally.wrong.extend(f"{request_id}: {text}" for text in wrong)
            self._tally.slowest_s = max(self._tally.slowest_s, time.monotonic() - begun)
        return code

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(
        self, picture: Picture, request_id: str, path: str, allowed: frozenset[int]
    ) -> tuple[int, list[str]]:
        used = self._connection is not None
        while True:
            try:
                response, body = self._exchange(picture.data, request_id, path)
            except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
                self.close()
                if not used:
                    raise
                # Closed while idle: a client may send that again, and all do.
                used = False
                self._count("resent")
            except BaseException:
                self.close()
                raise
            else:
                return response.status, _wrongs(response, body, picture, request_id, allowed)

    def _exchange(
        self, data: bytes, request_id: str, path: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=HUNG_S)
            self._connection.connect()
        self._drop_strays(self._connection.sock)
        headers = {"Content-Type": "image/jpeg", "X-Request-ID": request_id}
        self._connection.request("POST", path, data, headers)
        response = self._connection.getresponse()
        body = response.read()
        if self._connection.sock is None:  # the server said that it closes
            self._connection = None
        return response, body

    def _drop_strays(self, sock: socket.socket) -> None:
        """Count what lies on a connection on which nothing was asked."""
        if select.select([sock], [], [], 0)[0] and sock.recv(1, socket.MSG_PEEK):
            self._count("twice")
            raise ConnectionResetError("an answer to nothing")

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self._tally, name, getattr(self._tally, name) + 1)


def _wrongs(
    response: http.client.HTTPResponse,
    body: bytes,
    picture: Picture,
    request_id: str,
    allowed: frozenset[int],
) -> list[str]:
    found = []
    if response.getheader("X-Request-ID") != request_id:
        found.append(f"answered for {response.getheader('X-Request-ID')}")
    if response.status not in allowed:
        found.append(f"answered {response.status}: {body[:300]!r}")
    if response.status in _WAIT_OR_GO_AWAY and response.getheader("Retry-After") is None:
        found.append(f"{response.status} without Retry-After")
    if response.status == 200:
        [image] = json.loads(body)["images"]
        size = image.get("width", picture.width), image.get("height", picture.height)
        if size != (picture.width, picture.height):
            found.append(f"got the answer of a picture of {size}")
    return found


class SteadyLoad:
    """So many requests a second from so many clients in threads, inside a `with` block."""

    def __init__(
        self, url: str, pictures: Sequence[Picture], *, rate: float = 20.0, num_clients: int = 12
    ) -> None:
        self.tally = Tally()
        self._lock = threading.Lock()
        self._pictures = pictures
        self._pause_s = num_clients / rate
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [
            threading.Thread(target=self._run, args=(Client(url, self.tally, self._lock), place))
            for place in range(num_clients)
        ]

    def __enter__(self) -> SteadyLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let everybody finish what they wait for."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: Client, place: int) -> None:
        due = time.monotonic() + self._pause_s * place / len(self._threads)
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            number = next(self._numbers)
            client.post(self._pictures[number % len(self._pictures)], f"steady-{number}")
            due = max(due + self._pause_s, time.monotonic())
        client.close()
