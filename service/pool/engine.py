"""The engine: requests wait in queues, worker processes take them in batches.

Everything here runs on one event loop. A request is let in or refused at once; each of its
pictures waits and runs on its own; the last answer completes it. Whatever happens to a worker,
every request that was let in is answered exactly once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from service.engine import Job, LoadError, ModelInfo, Result
from service.engine_state import EngineState, WorkerState
from service.errors import ServiceError, UnavailableError
from service.pool.arena import Arena
from service.pool.canvas_record import CanvasRecord
from service.pool.dispatcher import Dispatcher
from service.pool.link import WorkerLink
from service.pool.pending import PendingRequest
from service.pool.seats import Seat
from service.pool.waiting_room import WaitingRoom
from service.pool.wire import Frame
from service.watch.metrics import Metrics

log = logging.getLogger(__name__)

LOADING_RETRY_S = 5
_RECORD_EVERY_S = 60.0


class PoolEngine:
    """An `Engine` of worker processes.

    Args:
        open_seats: returns a seat for each device, not kept yet, given their generation and
            the engine, which owns their workers.
        arena, room, dispatcher: where pictures wait, and who hands them out.
        canary_every_s: between canaries; 0: only at a worker's start.
    """

    def __init__(
        self,
        open_seats: Callable[[PoolEngine, int], list[Seat]],
        *,
        arena: Arena,
        room: WaitingRoom,
        dispatcher: Dispatcher,
        metrics: Metrics,
        record: CanvasRecord,
        canary_every_s: float,
    ) -> None:
        self._open_seats = open_seats
        self._arena = arena
        self._room = room
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._record = record
        self._canary_every_s = canary_every_s
        self._seats: list[Seat] = []
        self._leaving: list[Seat] = []  # of the generation before; they finish what they began
        self._generation = 0
        self._keeping: set[asyncio.Task[None]] = set()
        self._ticking: list[asyncio.Task[None]] = []
        self._requests: set[PendingRequest] = set()
        self._reloading = asyncio.Lock()
        self._models: tuple[ModelInfo, ...] = ()
        self._draining = self._stopping = False

    def start(self) -> None:
        """Begin to load; return at once."""
        self._loading = asyncio.create_task(self._load())
        self._ticking.append(asyncio.create_task(_every(_RECORD_EVERY_S, self._record.save)))
        if self._canary_every_s > 0:
            canary = _every(self._canary_every_s, self._send_canaries)
            self._ticking.append(asyncio.create_task(canary))
        self._metrics.watch(self.state)

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The loaded models; none before all workers were ready."""
        return self._models

    @property
    def unready_reason(self) -> str | None:
        """Why no new traffic should come; None when it should."""
        if self._stopping or self._draining:
            return "the server is draining before it stops"
        if not self._models:
            return "the model is still loading"
        if not any(seat.ready_link for seat in self._seats):
            return "no worker is healthy; one is being started"
        return None

    async def wait_until_loaded(self) -> None:
        """Return once jobs can run. Raises LoadError if they never will."""
        await asyncio.shield(self._loading)

    async def submit(self, job: Job) -> Result:
        """Return the answers of a job; see `Engine.submit`."""
        if self._stopping or not self._models:
            reason = self.unready_reason or "the server is stopping"
            raise UnavailableError(reason, retry_after_s=LOADING_RETRY_S)
        model = next(model for model in self._models if model.name == job.model)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        request = PendingRequest(job=job, model=model, answer=answer)
        seats = self._seats_of(job.model)
        try:
            self._room.enter(
                request,
                num_workers=max(1, sum(seat.ready_link is not None for seat in seats)),
                ahead_s=self._dispatcher.ahead_s(seats, job.model),
                now=time.monotonic(),
            )
        except ServiceError as error:
            self._metrics.refused(error.kind.replace("-", "_"))
            raise
        self._record.note(request)
        self._requests.add(request)
        self._dispatch()
        try:
            return await answer
        finally:
            # Over in any case: what still waits of it must not cost anything.
            self._requests.discard(request)
            num_dropped = self._room.leave(request)
            if answer.cancelled():
                is_late = time.monotonic() >= job.deadline
                for _ in range(num_dropped):
                    self._metrics.dropped("deadline" if is_late else "client_gone")
            self._part_with_idle()

    def drain(self) -> None:
        """Become unready, but go on taking jobs."""
        self._draining = True

    async def reload(self) -> None:
        """Load the weights anew, and return once they serve; see `Engine.reload`."""
        async with self._reloading:
            if not self._models or self._stopping:
                raise LoadError(self.unready_reason or "the server is stopping")
            fresh = self._open_seats(self, self._generation + 1)
            await self._fill(fresh)
            self._generation += 1
            for seat in self._seats:
                seat.leave()
                self._metrics.worker_restarted(device=seat.device, reason="reload")
            self._leaving.extend(self._seats)
            self._take_over(fresh)
            self._room.forget_memory()
            self._dispatch()
            self._part_with_idle()
            log.info("reloaded", extra={"models": " ".join(m.name for m in self._models)})

    def stop(self) -> None:
        """Refuse what waits, and end the workers."""
        self._stopping = True
        for request in list(self._requests):
            request.fail(UnavailableError("the server stopped; send the request again"))
        for task in self._keeping:
            task.cancel()
        self._record.save()

    async def wait_stopped(self) -> None:
        """Return once all processes have ended and the shared memory is given back."""
        for task in (self._loading, *self._ticking):
            task.cancel()
        everything = (self._loading, *self._ticking, *self._keeping)
        await asyncio.gather(*everything, return_exceptions=True)
        self._arena.close()

    def state(self) -> EngineState:
        """Return how everything stands."""
        workers = tuple(
            WorkerState(
                device=seat.device,
                up=seat.ready_link is not None,
                device_bytes=seat.link.device_bytes if seat.link else 0,
                rss_bytes=seat.link.rss_bytes if seat.link else 0,
                pid=seat.link.pid if seat.link and seat.link.state != "gone" else 0,
            )
            for seat in self._seats
        )
        return EngineState(
            queues=self._room.states(self._num_ready, time.monotonic()),
            workers=workers,
            models=self._models,
            arena_bytes=self._arena.num_bytes,
            arena_used_bytes=self._arena.used_bytes,
        )

    def on_frame(self, link: WorkerLink, frame: Frame) -> None:
        """Hear a worker; see `LinkOwner`."""
        header = frame.header
        match frame.kind:
            case "loaded":
                link.seat.models = tuple(ModelInfo.from_json(m) for m in header["models"])
            case "ready":
                link.seat.has_become_ready()
            case "failed":
                link.seat.has_failed(header["text"], is_operators=header["is_operators"])
            case "fatal":
                log.error("a device failed", extra={"device": link.device, "why": header["text"]})
                link.kill("fatal")
            case _:
                self._dispatcher.on_frame(link, frame)
        if "item" in header:
            return  # a picture is done; whether there is room now, its batch's end will tell
        self._dispatch()
        self._part_with_idle()

    def on_gone(self, link: WorkerLink, reason: str) -> None:
        """Bring home what a worker leaves undone; see `LinkOwner`."""
        self._dispatcher.bring_home(link, reason)
        if link.seat.has_successor and link.seat.was_ready:
            self._metrics.worker_restarted(device=link.device, reason=reason)
        self._dispatch()

    async def _load(self) -> None:
        fresh = self._open_seats(self, self._generation)
        self._seats = fresh  # so that the metrics show them while they load
        self._metrics.expect_workers(seat.device for seat in fresh)
        await self._fill(fresh)
        self._take_over(fresh)

    async def _fill(self, seats: Sequence[Seat]) -> None:
        """Return once each of the seats has a worker that is ready. Raises LoadError."""
        tasks = [asyncio.create_task(seat.keep()) for seat in seats]
        for task in tasks:
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)
        try:
            for seat in seats:
                await seat.settled.wait()
                if seat.failure is not None:
                    raise seat.failure
        except BaseException:
            for task in tasks:
                task.cancel()
            raise

    def _take_over(self, seats: list[Seat]) -> None:
        self._seats = seats
        by_name = {model.name: model for seat in reversed(seats) for model in seat.models}
        self._models = tuple(by_name[m.name] for m in seats[0].models) + tuple(
            model
            for model in by_name.values()
            if all(model.name != first.name for first in seats[0].models)
        )

    def _dispatch(self) -> None:
        self._dispatcher.hand_out((*self._seats, *self._leaving), self._generation)

    def _part_with_idle(self) -> None:
        """End the workers of the generation before that nobody waits for any more."""
        if not self._leaving:
            return
        awaited = {request.generation for request in self._requests}
        for seat in list(self._leaving):
            if seat.generation not in awaited and not (seat.link and seat.link.sent):
                self._leaving.remove(seat)
                seat.retire()

    def _send_canaries(self) -> None:
        for seat in self._seats:
            if seat.ready_link is not None:
                self._dispatcher.send_canary(seat.ready_link)

    def _seats_of(self, model: str) -> list[Seat]:
        return [seat for seat in self._seats if any(m.name == model for m in seat.models)]

    def _num_ready(self, model: str) -> int:
        return sum(seat.ready_link is not None for seat in self._seats_of(model))


async def _every(seconds: float, what: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        what()
