"""A server to do harm to, and what one needs for it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from serving import Server, serve
from steady_load import Picture, SteadyLoad, Tally, noisy_picture
from tiny import CATEGORIES, tiny_predictor

from model.checkpoints import checkpoint

_FAULTY = (str(Path(__file__).with_name("faulty_server.py")),)
_READY_S = 120.0


@dataclass(kw_only=True)
class Row:
    """A scenario's line of the table.

    injected: how often harm was done. ready_s: seconds until ready again, each time.
    others: what became of requests that were part of the harm, by code.
    notes: what must not have happened, besides what the tally says.
    """

    scenario: str
    tally: Tally
    injected: int = 0
    ready_s: list[float] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Return everything that must not have happened."""
        return [*self.tally.faults(), *self.notes]


@dataclass(frozen=True, kw_only=True)
class Harm:
    """How much of it. weights: of the servers, None where the worker needs none.

    command: of the server, what Python runs. pictures: the steady load's.
    """

    weights: Path | None
    command: tuple[str, ...] = _FAULTY
    num_kills: int = 50
    num_faults: int = 5
    num_malformed: int = 10_000
    rate: float = 20.0
    pictures: Sequence[Picture]

    @contextmanager
    def server(self, *flags: str) -> Iterator[Server]:
        """Start a server, and wait until it is ready."""
        weights = () if self.weights is None else ("--weights", str(self.weights))
        times = ("--restart-delay-s", "0.2", "--grace-s", "1", "--canary-every-s", "0")
        with serve(*weights, *times, *flags, command=self.command) as server:
            server.wait_until_ready()
            yield server

    def load(self, server: Server) -> SteadyLoad:
        """Return a steady load of many pictures, not begun."""
        return SteadyLoad(server.url, self.pictures, rate=self.rate)


def steady_pictures(number: int = 40, width: int = 80) -> list[Picture]:
    """Return small pictures from that width, each of another size."""
    return [noisy_picture(width + 3 * n, 140 - 2 * n, seed=n) for n in range(number)]


def write_tiny_weights(path: Path) -> Path:
    """Write a network that answers in milliseconds, and return the path."""
    with torch.random.fork_rng():
        predictor = tiny_predictor()
    whole = checkpoint.Checkpoint(
        config=predictor.config,
        categories=replace(CATEGORIES, stuff=()),
        tensors=predictor.model.state_dict(),
        sha256="",
        provenance={"source": "random numbers"},
    )
    checkpoint.save(path, whole)
    return path


def worker_pids(server: Server) -> list[int]:
    """Return the processes of the server's workers."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in children if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    try:
        return b"--arena" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return False


def until_replaced(server: Server, pids: Sequence[int]) -> float:
    """Wait until the server is ready, with none of these workers; return the seconds."""
    begun = time.monotonic()
    while not (present := set(worker_pids(server))) or present & set(pids) or not is_ready(server):
        assert server.process.poll() is None, server.output()
        assert time.monotonic() < begun + _READY_S, f"not ready again; {server.output()}"
        time.sleep(0.02)
    return time.monotonic() - begun


def is_ready(server: Server) -> bool:
    """Return whether /readyz says so."""
    try:
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=10):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False


def still_serves(server: Server, tally: Tally) -> list[str]:
    """Return what is wrong with the server after the harm, from outside and from its log."""
    found = []
    if not is_ready(server):
        found.append("not ready in the end")
    if tally.codes[200] == 0:
        found.append("nothing was answered with 200")
    text = server.output()
    found += [f"in the log: {word}" for word in ("Traceback", "never retrieved") if word in text]
    return found
