"""Who sits where: each device has a seat, and whoever falls off it is replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from service.engine import LoadError, ModelInfo
from service.engine_state import WorkerState
from service.pool.link import WorkerLink
from service.pool.messages import Failed, Ready
from service.pool.wire import Frame

log = logging.getLogger(__name__)

# So often may a worker vanish without a word before anything ever worked.
_FIRST_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class RestartTimes:
    """Seconds before a worker is replaced: the first time, and at most; doubled in between."""

    first: float
    most: float

    def delay(self, num_failures: int) -> float:
        """Return the pause after so many failures in a row."""
        return min(self.most, self.first * 2.0 ** min(30, max(0, num_failures - 1)))


class SeatOwner(Protocol):
    """Who is told what a seat's worker says; called on the event loop."""

    def on_frame(self, seat: Seat, link: WorkerLink, frame: Frame) -> None:
        """Hear what the worker says; the seat has noted what concerns it."""
        ...

    def on_gone(self, seat: Seat, link: WorkerLink, reason: str) -> None:
        """Hear that the worker has ended; `link.sent` has what it leaves undone."""
        ...


@dataclass(eq=False, kw_only=True)
class Seat:
    """A device's place in the pool, whoever holds it; the owner of the links to its workers.

    open_link: returns a new worker for this seat, not started.
    link: the present worker. models: what it holds. was_ready: whether any has been ready here.
    warmed: what its last warm-up told of each model; see `WaitingRoom.expect`.
    failure: why no worker will ever sit here; only before the first was ready.
    """

    device: str
    open_link: Callable[[Seat], WorkerLink]
    owner: SeatOwner
    times: RestartTimes
    link: WorkerLink | None = None
    models: tuple[ModelInfo, ...] = ()
    warmed: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    was_ready: bool = False
    is_retired: bool = False
    failure: LoadError | None = None
    num_failures: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # ready once, or never
    last_words: str | None = None

    @property
    def ready_link(self) -> WorkerLink | None:
        """The present worker if it takes batches."""
        return self.link if self.link is not None and self.link.state == "ready" else None

    @property
    def state(self) -> WorkerState:
        """How the present worker stands."""
        link = self.link
        return WorkerState(
            device=self.device,
            up=self.ready_link is not None,
            device_bytes=link.device_bytes if link else 0,
            rss_bytes=link.rss_bytes if link else 0,
            pid=link.pid if link and link.state != "gone" else 0,
        )

    @property
    def holds(self) -> frozenset[tuple[str, str]]:
        """(name, edition) of what a worker here runs now, or will once it is replaced."""
        is_empty = self.link is None or self.link.state == "gone"
        if is_empty and not self.has_successor:
            return frozenset()
        return frozenset((model.name, model.edition) for model in self.models)

    @property
    def has_successor(self) -> bool:
        """Whether another worker follows the present one."""
        return not self.is_retired and self.failure is None

    def on_frame(self, link: WorkerLink, frame: Frame) -> None:
        """Hear the present worker; see `LinkOwner`."""
        match frame.message:
            case Ready(warmed=warmed):
                self.warmed = warmed
                self.was_ready = True
                self.settled.set()
            case Failed(text=text, is_operators=is_operators):
                self.last_words = text
                if not self.was_ready and is_operators:
                    self._give_up(text)
        self.owner.on_frame(self, link, frame)

    def on_gone(self, link: WorkerLink, reason: str) -> None:
        """Hear that the present worker has ended; see `LinkOwner`."""
        self.owner.on_gone(self, link, reason)

    def has_worked(self) -> None:
        """Note a finished batch: whatever happened before is forgiven."""
        self.num_failures = 0

    async def keep(self) -> None:
        """Run one worker after the other until the seat is retired or given up."""
        while self.has_successor:
            self.last_words = None
            self.link = self.open_link(self)
            await self.link.run()
            if self.has_successor:
                await self._recover(self.link)

    def leave(self) -> None:
        """Let nobody follow the present worker, which goes on."""
        self.is_retired = True

    def retire(self) -> None:
        """Let the present worker finish what it has, and end; nobody follows."""
        self.is_retired = True
        if self.link is not None:
            self.link.stop()

    async def _recover(self, link: WorkerLink) -> None:
        """Return when it is time for the next worker, or give up; `link` has just ended."""
        self.num_failures += 1
        if not self.was_ready and self.num_failures >= _FIRST_ATTEMPTS:
            self._give_up(
                self.last_words
                or f"the worker for {self.device} ended {self.num_failures} times while it "
                f"loaded (exit code {link.exit_code}); is there enough memory?"
            )
            return
        delay_s = self.times.delay(self.num_failures)
        log.warning(
            "a worker is replaced",
            extra={"device": self.device, "exit_code": link.exit_code, "in_s": delay_s},
        )
        await asyncio.sleep(delay_s)

    def _give_up(self, text: str) -> None:
        self.failure = LoadError(text)
        self.settled.set()
