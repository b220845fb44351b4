"""The load generator: requests at times fixed in advance, or from so many clients at once.

    python bench/serve_load.py < plan.json > result.json

A process of its own, so that what it measures does not share its interpreter. Open loop: Poisson
arrivals, drawn beforehand from the seed; a request's time runs from the moment it was due, not
from the one at which the generator or a free connection got round to it, so a server that stalls
pays for everybody who would have come meanwhile (no coordinated omission). Closed loop: each of
so many clients sends its next request when it has the answer to the last.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from serve_connection import Connection

CUT, LATE = 0, -1  # in place of a status code: the connection ended, or nothing came in time

_MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".bin": "application/octet-stream",
}
_BOUNDARY = "blendmask-bench-7d1f"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send.

    files: the pictures; `picture` in the results is the index here.
    form_field: send multipart with this name; None sends the bytes as they are.
    rate: arrivals a second of the open loop; None is the closed loop of `clients`.
    seconds: how long arrivals go on; number: of requests in all (closed loop), whichever is first.
    order: indices of pictures in the order to send; empty draws them from the seed.
    keep: folder for the bodies of the answers, one file per request number.
    """

    host: str
    port: int
    path: str
    files: list[str]
    form_field: str | None = None
    rate: float | None = None
    clients: int = 1
    seconds: float = 10.0
    number: int | None = None
    seed: int = 0
    timeout_s: float = 60.0
    order: list[int] = field(default_factory=list)
    keep: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request. Times are of the machine's monotonic clock; `due` is when it ought to go.

    code: the status, or CUT or LATE. attempts: more than one when an idle connection turned out
    to have been closed by the server before a byte of an answer came.
    """

    number: int
    picture: int
    due: float
    sent: float
    done: float
    code: int
    attempts: int


class Generator:
    """Sends a plan's requests, and remembers how each went."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._idle: list[Connection] = []
        self._requests = [encoded_request(plan, Path(name)) for name in plan.files]
        self._draw = random.Random(plan.seed)
        self.results: list[Sent] = []

    async def run(self) -> None:
        """Send everything, and return when the last answer is there."""
        if self._plan.rate is None:
            await self._closed_loop()
        else:
            await self._open_loop(self._plan.rate)
        for connection in self._idle:
            connection.close()

    async def _open_loop(self, rate: float) -> None:
        dues = arrivals(rate, self._plan.seconds, self._draw)
        start = time.monotonic() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for number, due in enumerate(dues):
                if (early := start + due - time.monotonic()) > 0:
                    await asyncio.sleep(early)
                tasks.create_task(self._request(number, start + due))

    async def _closed_loop(self) -> None:
        end = time.monotonic() + self._plan.seconds
        numbers = iter(range(self._plan.number or sys.maxsize))

        async def client() -> None:
            for number in numbers:
                if (now := time.monotonic()) >= end:
                    return
                await self._request(number, now)

        await asyncio.gather(*(client() for _ in range(self._plan.clients)))

    async def _request(self, number: int, due: float) -> None:
        order = self._plan.order
        picture = order[number % len(order)] if order else self._draw.randrange(len(self._requests))
        sent = time.monotonic()
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                code, attempts = await self._exchange(number, picture)
        except TimeoutError:
            code, attempts = LATE, 1
        done = time.monotonic()
        self.results.append(
            Sent(
                number=number,
                picture=picture,
                due=due,
                sent=sent,
                done=done,
                code=code,
                attempts=attempts,
            )
        )

    async def _exchange(self, number: int, picture: int) -> tuple[int, int]:
        """Return the code and how many attempts it took."""
        attempts = 0
        while True:
            attempts += 1
            connection, is_used = await self._connection()
            if connection is None:
                return CUT, attempts
            try:
                code, body = await connection.ask(*self._requests[picture])
            except ConnectionError as error:
                if is_used and error.args == (0,):
                    continue  # closed while idle: as any client, send it again
                return CUT, attempts
            except asyncio.CancelledError:
                connection.close()
                raise
            if connection.is_open:
                self._idle.append(connection)
            if self._plan.keep is not None and code == 200:
                (Path(self._plan.keep) / f"{number}-{picture}").write_bytes(body)
            return code, attempts

    async def _connection(self) -> tuple[Connection | None, bool]:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection, True
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                Connection, self._plan.host, self._plan.port
            )
        except OSError:
            return None, False
        return connection, False


def arrivals(rate: float, seconds: float, draw: random.Random) -> list[float]:
    """Return the times of a Poisson process, from 0 to `seconds`."""
    times = [draw.expovariate(rate)]
    while times[-1] < seconds:
        times.append(times[-1] + draw.expovariate(rate))
    return times[:-1]


def encoded_request(plan: Plan, file: Path) -> tuple[bytes, bytes]:
    """Return a request's head and body."""
    body, media_type = file.read_bytes(), _MEDIA_TYPES[file.suffix.lower()]
    if plan.form_field is not None:
        disposition = f'form-data; name="{plan.form_field}"; filename="{file.name}"'
        part = f"Content-Disposition: {disposition}\r\nContent-Type: {media_type}\r\n\r\n"
        body = f"--{_BOUNDARY}\r\n{part}".encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()
        media_type = f"multipart/form-data; boundary={_BOUNDARY}"
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


def main() -> None:
    generator = Generator(Plan(**json.load(sys.stdin)))
    asyncio.run(generator.run())
    json.dump(
        {
            "cpu_seconds": time.process_time(),
            "requests": [list(asdict(sent).values()) for sent in generator.results],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
