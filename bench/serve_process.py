"""What the load is put on: servers as processes, their memory over time, and their metrics."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from serve_load import Plan, Sent

_HERE = Path(__file__).parent
_READY_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server that is ready for load.

    pid: of its first process; its children count as the server's, too. None: not ours.
    path and form_field: as in `Plan`.
    """

    name: str
    host: str
    port: int
    path: str
    form_field: str | None
    pid: int | None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def started(
    name: str,
    command: Sequence[str],
    *,
    path: str,
    ready: str,
    threads: int,
    form_field: str | None = None,
) -> Iterator[Target]:
    """Start `command --port PORT`, wait until the `ready` path answers 200, stop it at the end.

    Args:
        threads: of the numerical libraries in each of its processes.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(_HERE.parent), os.environ.get("PYTHONPATH", "")]),
    }
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}{ready}")
        yield Target(
            name=name,
            host="127.0.0.1",
            port=port,
            path=path,
            form_field=form_field,
            pid=process.pid,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # a session of its own: only what it left behind
            os.killpg(process.pid, signal.SIGKILL)


def ours(flags: Sequence[str]) -> list[str]:
    """Return the command of this server."""
    return [sys.executable, "-m", "service", "--log-level", "warning", *flags]


def put_load(plan: Plan) -> tuple[list[Sent], float]:
    """Run the generator in its process; return what became of each request, and its CPU seconds."""
    finished = subprocess.run(
        [sys.executable, str(_HERE / "serve_load.py")],
        input=json.dumps(asdict(plan)).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    answer = json.loads(finished.stdout)
    names = list(Sent.__dataclass_fields__)
    requests = [Sent(**dict(zip(names, row, strict=True))) for row in answer["requests"]]
    return requests, answer["cpu_seconds"]


@dataclass(frozen=True, kw_only=True)
class MemorySample:
    """Memory in MiB of one process at one moment (monotonic seconds).

    private: pages of its own. shared: shared memory it has touched, the slab of pictures.
    """

    time: float
    pid: int
    role: str
    private: float
    shared: float


class MemoryWatch:
    """Samples the memory of a process and its children once a second, in a thread."""

    def __init__(self, pid: int) -> None:
        self.samples: list[MemorySample] = []
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for pid in descendants(self._pid):
                sizes = _sizes(pid)
                role = "api" if pid == self._pid else "worker"
                if sizes is not None:
                    self.samples.append(
                        MemorySample(
                            time=now, pid=pid, role=role, private=sizes[0], shared=sizes[1]
                        )
                    )
            if self._stop.wait(1.0):
                return


def descendants(pid: int) -> list[int]:
    """Return the process and everything below it."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [c for t in threads for c in (t / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(below for child in children for below in descendants(int(child)))]


def _sizes(pid: int) -> tuple[float, float] | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    kib = {name: int(value) for name, value in re.findall(r"(Rss\w+):\s+(\d+) kB", status)}
    if not kib:
        return None  # it is just ending
    return (kib["RssAnon"] + kib["RssFile"]) / 1024, kib["RssShmem"] / 1024


def metrics(target: Target) -> dict[str, float]:
    """Return the samples of /metrics by name and labels, as they are written there."""
    try:
        with urllib.request.urlopen(f"{target.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError:
        return {}
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def serve_nothing(port: int) -> None:
    """Answer every request at once with a small constant: the generator's own ceiling."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    class Constant(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport, self.missing = transport, 0

        def data_received(self, data: bytes) -> None:
            if self.missing <= 0:
                head, _, body = data.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                self.missing = (int(length[1]) if length else 0) - len(body)
            else:
                self.missing -= len(data)
            if self.missing <= 0:
                self.transport.write(answer)

    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port)
    await server.serve_forever()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server ended with code {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"the server was not ready within {_READY_S:g} s")


if __name__ == "__main__":
    asyncio.run(serve_nothing(int(sys.argv[sys.argv.index("--port") + 1])))
