"""The real server: `python -m service` as a process of its own, on a socket of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx


class Server:
    """A started server.

    url: where it listens. process: to send it signals.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.url = ""
        self._folder = folder

    def output(self) -> str:
        """What it has printed so far, on either stream."""
        parts = (f"--- {name}\n{self.read(name)}" for name in ("stdout", "stderr"))
        return f"exit code {self.process.poll()}\n" + "\n".join(parts)

    def read(self, name: str) -> str:
        """What it has printed so far on "stdout" or "stderr"."""
        return (self._folder / name).read_text()

    def wait_until_listening(self, timeout_s: float = 60) -> None:
        """Return once the address is printed."""
        self.wait_for_line("listening", timeout_s)
        first_line = self.read("stdout").splitlines()[0]
        self.url = first_line.split("listening on ")[1].split(",")[0]

    def wait_until_ready(self, timeout_s: float = 120) -> None:
        """Return once /readyz answers 200."""
        self.wait_until_listening(timeout_s)
        self.wait_for_line("ready;", timeout_s)
        answer = httpx.get(f"{self.url}/readyz", timeout=timeout_s)
        assert answer.status_code == 200, f"{answer.text}\n{self.output()}"

    def wait_for_exit(self, timeout_s: float = 60) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not stop; {self.output()}") from None

    def terminate(self, timeout_s: float = 60) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_for_exit(timeout_s)

    def wait_for_line(self, start: str, timeout_s: float = 60) -> None:
        """Return once it has printed a whole line that starts so."""
        deadline = time.monotonic() + timeout_s
        while not any(
            line.startswith(start) and line.endswith("\n")
            for line in self.read("stdout").splitlines(keepends=True)
        ):
            assert self.process.poll() is None, f"the server stopped; {self.output()}"
            assert time.monotonic() < deadline, f"no {start!r} in time; {self.output()}"
            time.sleep(0.02)


@contextmanager
def serve(*flags: str, command: tuple[str, ...] = ("-m", "service")) -> Iterator[Server]:
    """Start a server on a free port, and kill it at the end.

    Args:
        flags: of `python -m service`, besides host and port.
        command: what Python runs; a test may put its own model in place.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLENDMASK_")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *command, "--port", "0", *flags],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**environment, "OMP_NUM_THREADS": "2"},
            )
        try:
            yield Server(process, folder)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
