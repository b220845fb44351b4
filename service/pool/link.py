"""One worker process as the server sees it: started, spoken to, watched, and seen off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service.pool.arena import Arena
from service.pool.child import Child, start_child
from service.pool.hang_watch import HangWatch, LinkTimes
from service.pool.messages import Batch, Canary, Heartbeat, Load, Loaded, Message, Ready, Stop
from service.pool.sent_batches import Sent, SentBatches
from service.pool.wire import Frame, FrameProtocol

log = logging.getLogger(__name__)

LinkState = Literal["starting", "loaded", "ready", "stopping", "gone"]


class LinkOwner(Protocol):
    """Who is told what becomes of a worker; called on the event loop."""

    def on_frame(self, link: WorkerLink, frame: Frame) -> None:
        """Hear what the worker says, heartbeats apart."""
        ...

    def on_gone(self, link: WorkerLink, reason: str) -> None:
        """Hear that the process has ended; `link.sent` has what it leaves undone."""
        ...


@dataclass(eq=False, kw_only=True)
class WorkerLink:
    """One process from its start to its end.

    device: what it runs on.
    command: what runs it.
    load: tells it what to load.
    was_oom_killed: the kernel ended some process for want of memory while this one ran, and
        this one was killed; set when it has ended.
    """

    device: str
    command: Sequence[str]
    load: Load
    arena: Arena
    owner: LinkOwner
    times: LinkTimes
    state: LinkState = "starting"
    sent: SentBatches = field(default_factory=SentBatches)
    device_bytes: int = 0
    rss_bytes: int = 0
    exit_code: int | None = None
    was_oom_killed: bool = False
    pid: int = 0
    _killed_for: str | None = None
    _wire: FrameProtocol | None = None
    _watch: HangWatch = field(init=False)

    def __post_init__(self) -> None:
        self._watch = HangWatch(self.times, self.sent)

    async def run(self) -> None:
        """Start the process and stay with it until it has ended; the owner is told.

        Cancelling kills the process.
        """
        child: Child | None = None
        reason = "died"
        try:
            child, self._wire = await self._start()
            self.send(self.load)
            watching = asyncio.create_task(self._keep_watch())
            try:
                await self._wire.ended
            finally:
                watching.cancel()
        except asyncio.CancelledError:
            self.kill("stopped")
            raise
        except OSError as error:
            reason = f"cannot be started: {error.strerror or error}"
        except Exception as error:
            # Its frames are no frames, or no messages that it may send.
            log.error("a worker speaks nonsense", exc_info=error, extra={"device": self.device})
        finally:
            self.state = "stopping"  # it gets nothing any more
            if self._wire is not None:
                self._wire.close()
            if child is not None:
                await _through_cancelling(self._see_off(child))
            self.state = "gone"
        if self._watch.is_stop_asked and not self.sent and self._killed_for is None:
            reason = "stopped"
        try:
            self.owner.on_gone(self, self._killed_for or reason)
        except Exception:  # the seat must be filled again whatever happens
            log.exception("a worker's work was not brought home", extra={"device": self.device})

    def send(self, message: Message) -> None:
        """Send a message; a process that is gone is noticed elsewhere."""
        if self._wire is not None:
            with suppress(RuntimeError, ConnectionError):
                self._wire.send(message)

    def send_batch(self, message: Batch | Canary, sent: Sent) -> None:
        """Hand over a batch. ValueError if it is more than a frame can say; nothing is sent."""
        self.send(message)
        self.sent.add(sent)

    def stop(self) -> None:
        """Ask it to finish what it has, and to end; one that only loads is ended at once."""
        if self.state in ("starting", "loaded"):
            self.kill("stopped")
        elif self.state not in ("stopping", "gone"):
            self.state = "stopping"
            self._watch.ask_stop()
            self.send(Stop())

    def kill(self, reason: str) -> None:
        """End it now; the reason is what the owner hears, and the last that he does."""
        if self.state == "gone":
            return
        self.state = "stopping"
        if self._killed_for is None:
            self._killed_for = reason
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def _start(self) -> tuple[Child, FrameProtocol]:
        ours, theirs = socket.socketpair()
        child: Child | None = None
        try:
            with theirs:
                is_json = self.load.log_format == "json"
                child = await start_child(
                    self.command, theirs, self.arena, device=self.device, is_json=is_json
                )
            self.pid = child.pid
            if self._killed_for is not None:  # while it was being started
                self.kill(self._killed_for)
            self._watch.start()
            loop = asyncio.get_running_loop()
            _, wire = await loop.create_connection(lambda: FrameProtocol(self._hear), sock=ours)
        except BaseException:
            ours.close()
            if child is not None:
                self.kill("stopped")
                await _through_cancelling(self._see_off(child))
            raise
        return child, wire

    def _hear(self, frame: Frame) -> None:
        if self._killed_for is not None:
            return  # on its way already; its device may be one that computes wrongly
        self._watch.hear()
        match frame.message:
            case Heartbeat(device_bytes=device_bytes, rss_bytes=rss_bytes):
                self.device_bytes, self.rss_bytes = device_bytes, rss_bytes
                return
            case Loaded() if self.state == "starting":
                self.state = "loaded"
            case Ready() if self.state == "loaded":
                self.state = "ready"
        self.owner.on_frame(self, frame)

    async def _keep_watch(self) -> None:
        """Kill the process when it is silent, or works on one batch for too long."""
        pause_s = self._watch.pause_s
        while True:
            before = time.monotonic()
            await asyncio.sleep(pause_s)
            waited_s = time.monotonic() - before
            if waited_s > 2 * pause_s + 0.5:
                self._watch.forgive(waited_s - pause_s)
                continue
            hang = self._watch.look(
                is_silent_yet=self.state == "starting",
                is_loading=self.state in ("starting", "loaded"),
            )
            if hang is not None:
                extra = {"device": self.device, "why": hang.why}
                log.error("a worker hangs and is killed", extra=extra)
                self.kill(hang.reason)

    async def _see_off(self, child: Child) -> None:
        ended = await child.see_off()
        self.exit_code = ended.code
        self.was_oom_killed = ended.was_oom_killed and self._killed_for is None


async def _through_cancelling(work: Coroutine[None, None, None]) -> None:
    """Finish the work whatever happens; a cancellation in the meantime is told at the end."""
    task = asyncio.ensure_future(work)
    told: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            told = error
    if told is not None:
        raise told
