"""One worker process as the server sees it: started, spoken to, watched, and seen off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from service.configuration.machine import num_oom_kills
from service.pool.arena import Arena
from service.pool.sent_batches import Sent, SentBatches
from service.pool.wire import Frame, FrameProtocol
from service.pool.worker_output import LINE_LIMIT, pass_on

if TYPE_CHECKING:
    from service.pool.seats import Seat

log = logging.getLogger(__name__)

# Long enough to start Python and to import the libraries on a busy machine; after that, silence
# means that it hangs.
_FIRST_SIGN_S = 60.0
# What it may take to exit once it has closed its socket or was told to.
_EXIT_S = 5.0

# Why a link is killed whose process says nothing any more; "hung" where a batch has no end.
SILENT = "silent"

LinkState = Literal["starting", "loaded", "ready", "stopping", "gone"]


class LinkOwner(Protocol):
    """Who is told what becomes of a worker; called on the event loop."""

    def on_frame(self, link: WorkerLink, frame: Frame) -> None:
        """Hear what the worker says, heartbeats apart."""
        ...

    def on_gone(self, link: WorkerLink, reason: str) -> None:
        """Hear that the process has ended; `link.sent` has what it leaves undone."""
        ...


@dataclass(frozen=True, kw_only=True)
class LinkTimes:
    """Seconds.

    load: from the start to ready. heartbeat: of silence, after its first sign of life.
    """

    load: float
    heartbeat: float


@dataclass(eq=False, kw_only=True)
class WorkerLink:
    """One process from its start to its end.

    command: what runs it; `--socket FD --arena FD` is added.
    load: the frame that tells it what to load.
    seat: whose place it takes.
    was_oom_killed: the kernel ended some process for want of memory while this one ran, and
        this one was killed; set when it has ended.
    """

    seat: Seat
    command: Sequence[str]
    load: Mapping[str, Any]
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
    _stop_asked: float | None = None
    _wire: FrameProtocol | None = None

    @property
    def device(self) -> str:
        """What it runs on."""
        return self.seat.device

    async def run(self) -> None:
        """Start the process and stay with it until it has ended; the owner is told.

        Cancelling kills the process.
        """
        process: asyncio.subprocess.Process | None = None
        reason = "died"
        try:
            process, self._wire = await self._start()
            self.send(dict(self.load))
            watching = asyncio.create_task(self._watch())
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
            # Its frames are no frames, or their members are not what they should be.
            log.error("a worker speaks nonsense", exc_info=error, extra={"device": self.device})
        finally:
            self.state = "stopping"  # it gets nothing any more
            if self._wire is not None:
                self._wire.close()
            if process is not None:
                await _through_cancelling(self._see_off(process))
            self.state = "gone"
        if self._stop_asked is not None and not self.sent and self._killed_for is None:
            reason = "stopped"
        try:
            self.owner.on_gone(self, self._killed_for or reason)
        except Exception:  # the seat must be filled again whatever happens
            log.exception("a worker's work was not brought home", extra={"device": self.device})

    def send(self, header: Mapping[str, Any]) -> None:
        """Send a frame; a process that is gone is noticed elsewhere."""
        if self._wire is not None:
            with suppress(RuntimeError, ConnectionError):
                self._wire.send(header)

    def send_batch(self, header: Mapping[str, Any], sent: Sent) -> None:
        """Hand over a batch. ValueError if it is more than a frame can say; nothing is sent."""
        self.send(header)
        self.sent.add(sent)

    def stop(self) -> None:
        """Ask it to finish what it has, and to end; one that only loads is ended at once."""
        if self.state in ("starting", "loaded"):
            self.kill("stopped")
        elif self.state not in ("stopping", "gone"):
            self.state = "stopping"
            self._stop_asked = time.monotonic()
            self.send({"kind": "stop"})

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

    async def _start(self) -> tuple[asyncio.subprocess.Process, FrameProtocol]:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                flags = ("--socket", str(theirs.fileno()), "--arena", str(self.arena.fd))
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    *flags,
                    stdin=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    limit=LINE_LIMIT,
                    pass_fds=(theirs.fileno(), self.arena.fd),
                    start_new_session=True,  # a Ctrl-C at the terminal is for the server alone
                )
            self.pid = process.pid
            if self._killed_for is not None:  # while it was being started
                self.kill(self._killed_for)
            assert process.stderr is not None
            is_json = self.load.get("log_format") == "json"
            self._output = asyncio.create_task(
                pass_on(process.stderr, device=self.device, is_json=is_json)
            )
            self._oom_kills_before = num_oom_kills()
            self._started = self._last_sign = time.monotonic()
            loop = asyncio.get_running_loop()
            _, wire = await loop.create_connection(lambda: FrameProtocol(self._hear), sock=ours)
        except BaseException:
            ours.close()
            if self.pid:
                self.kill("stopped")
                await _through_cancelling(self._see_off(process))
            raise
        return process, wire

    def _hear(self, frame: Frame) -> None:
        if self._killed_for is not None:
            return  # on its way already; its device may be one that computes wrongly
        self._last_sign = time.monotonic()
        kind = frame.kind
        if kind == "heartbeat":
            self.device_bytes = int(frame.header["device_bytes"])
            self.rss_bytes = int(frame.header["rss_bytes"])
            return
        if kind == "loaded" and self.state == "starting":
            self.state = "loaded"
        elif kind == "ready" and self.state == "loaded":
            self.state = "ready"
        self.owner.on_frame(self, frame)

    async def _watch(self) -> None:
        """Kill the process when it is silent, or works on one batch for too long."""
        heartbeat_s = self.times.heartbeat
        pause_s = min(0.5, heartbeat_s / 4)
        while True:
            before = time.monotonic()
            await asyncio.sleep(pause_s)
            now = time.monotonic()
            if now - before > 2 * pause_s + 0.5:
                self._forgive(now - before - pause_s)
                continue
            silence = now - self._last_sign
            # Importing a large library may keep everything else of a process waiting.
            is_loading = self.state == "starting"
            if silence > (max(_FIRST_SIGN_S, heartbeat_s) if is_loading else heartbeat_s):
                self._end_hung(SILENT, f"no sign of life for {silence:.1f} s")
            elif self.state in ("starting", "loaded") and now - self._started > self.times.load:
                self._end_hung("hung", f"not ready after {now - self._started:.0f} s")
            elif complaint := self.sent.complaint(now):
                self._end_hung("hung", complaint)
            elif self._stop_asked is not None and not self.sent:
                idle_s = now - max(self._stop_asked, self.sent.last_change)
                if idle_s > _EXIT_S:
                    self._end_hung("stopped", f"asked to stop {idle_s:.1f} s ago")

    def _forgive(self, stall_s: float) -> None:
        """Leave out of all watches the time in which this process itself stood still.

        What the worker said is not read yet, and it may have stood still too.
        """
        self._last_sign = time.monotonic()
        self._started += stall_s
        self.sent.forgive(stall_s)

    def _end_hung(self, reason: str, why: str) -> None:
        log.error("a worker hangs and is killed", extra={"device": self.device, "why": why})
        self.kill(reason)

    async def _see_off(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the exit; a process that has said goodbye and stays is killed."""
        await self._wait_for_exit(process)
        await asyncio.wait((self._output,), timeout=_EXIT_S)
        self._output.cancel()
        is_killed = self.exit_code == -signal.SIGKILL and self._killed_for is None
        self.was_oom_killed = is_killed and num_oom_kills() > self._oom_kills_before

    async def _wait_for_exit(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_EXIT_S):
                self.exit_code = await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            self.exit_code = await process.wait()


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
