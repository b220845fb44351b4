"""The engine: requests wait in a room, worker processes take their pictures in batches.

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
from service.engine_state import EngineState
from service.errors import UnavailableError
from service.pool.arena import Arena
from service.pool.canvas_record import CanvasRecord
from service.pool.dispatcher import Dispatcher
from service.pool.editions import free_orphans, pin_misfits
from service.pool.keeping import Keeping
from service.pool.link import WorkerLink
from service.pool.messages import Failed, Fatal, Loaded, OfPicture, Ready
from service.pool.pending import PendingRequest
from service.pool.requests import Requests
from service.pool.roster import Roster
from service.pool.seats import Seat
from service.pool.ticking import Ticking
from service.pool.waiting_room import WaitingRoom
from service.pool.wire import Frame
from service.watch.metrics import Metrics

log = logging.getLogger(__name__)

LOADING_RETRY_S = 5
_RECORD_EVERY_S = 60.0


class PoolEngine:
    """An `Engine` of worker processes.

    Args:
        open_seats: returns a seat for each device, not kept yet, given the engine, which owns
            their workers.
        arena, room, dispatcher: where pictures wait, and who hands them out.
        canary_every_s: between canaries; 0: only at a worker's start.
    """

    def __init__(
        self,
        open_seats: Callable[[PoolEngine], list[Seat]],
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
        self._roster = Roster()
        self._keeping = Keeping()
        self._loading: asyncio.Task[None] | None = None
        self._ticking = Ticking()
        self._requests = Requests(room, dispatcher, self._roster, metrics)
        self._reloading = asyncio.Lock()
        self._models: tuple[ModelInfo, ...] = ()
        self._draining = self._stopping = False

    def start(self) -> None:
        """Begin to load; return at once."""
        self._loading = asyncio.create_task(self._load())
        self._ticking.start(_RECORD_EVERY_S, self._record.save)
        if self._canary_every_s > 0:
            self._ticking.start(self._canary_every_s, self._send_canaries)
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
        if not any(seat.ready_link for seat in self._roster.seats):
            return "no worker is healthy; one is being started"
        return None

    async def wait_until_loaded(self) -> None:
        """Return once jobs can run. Raises LoadError if they never will."""
        assert self._loading is not None, "the engine is not started"
        await asyncio.shield(self._loading)

    async def submit(self, job: Job) -> Result:
        """Return the answers of a job; see `Engine.submit`."""
        if self._stopping or not self._models:
            reason = self.unready_reason or "the server is stopping"
            raise UnavailableError(reason, retry_after_s=LOADING_RETRY_S)
        model = next(model for model in self._models if model.name == job.model)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        request = PendingRequest(job=job, model=model, answer=answer)
        try:
            self._requests.let_in(request)
            self._record.note(request)
            self._dispatch()
            return await answer
        finally:
            self._requests.let_go(request)
            self._part_with_idle()

    def drain(self) -> None:
        """Become unready, but go on taking jobs."""
        self._draining = True
        if self._models:  # else a server that has never been ready goes on trying
            self._keeping.give_up()

    async def reload(self) -> None:
        """Load the weights anew, and return once they serve; see `Engine.reload`."""
        async with self._reloading:
            if not self._models or self._draining or self._stopping:
                raise LoadError(self.unready_reason or "the server is stopping")
            fresh = self._open_seats(self)
            await self._keeping.fill(fresh)
            for seat in self._roster.take_over(fresh):
                self._metrics.worker_restarted(device=seat.device, reason="reload")
            self._models = self._roster.models
            pin_misfits(self._requests, self._models)
            self._room.forget_memory()
            for seat in fresh:
                self._room.expect(seat.warmed)
            self._rearrange()
            log.info("reloaded", extra={"models": " ".join(m.name for m in self._models)})

    def stop(self) -> None:
        """Refuse what waits, and end the workers."""
        if self._stopping:
            return
        self._stopping = True
        for request in self._requests:
            request.fail(UnavailableError("the server stopped; send the request again"))
        self._keeping.stop()
        self._record.write(self._record.text())

    async def wait_stopped(self) -> None:
        """Return once all processes have ended and the shared memory is given back."""
        loading = [] if self._loading is None else [self._loading]
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, *self._keeping.tasks, return_exceptions=True)
        await self._ticking.stop()
        self._arena.close()

    def state(self) -> EngineState:
        """Return how everything stands."""
        return EngineState(
            queues=self._room.states(self._roster.num_ready, time.monotonic()),
            workers=self._roster.workers,
            models=self._models,
            arena_bytes=self._arena.num_bytes,
            arena_used_bytes=self._arena.used_bytes,
        )

    def on_frame(self, seat: Seat, link: WorkerLink, frame: Frame) -> None:
        """Hear a worker; see `SeatOwner`."""
        match frame.message:
            case Loaded(models=models):
                self._has_loaded(seat, [ModelInfo.from_json(model) for model in models])
            case Ready():
                if seat in self._roster.seats:
                    self._room.expect(seat.warmed)
            case Failed():
                pass  # what that means for its seat, the seat knows
            case Fatal(text=text):
                log.error("a device failed", extra={"device": link.device, "why": text})
                link.kill("fatal")
            case _:
                self._dispatcher.on_frame(seat, link, frame)
        if isinstance(frame.message, OfPicture):
            return  # a picture is done; whether there is room now, its batch's end will tell
        self._dispatch()
        self._part_with_idle()

    def on_gone(self, seat: Seat, link: WorkerLink, reason: str) -> None:
        """Bring home what a worker leaves undone; see `SeatOwner`."""
        try:
            self._dispatcher.bring_home(link, reason)
        finally:
            if seat.has_successor and seat.was_ready:
                self._metrics.worker_restarted(device=link.device, reason=reason)
            self._rearrange()

    async def _load(self) -> None:
        fresh = self._open_seats(self)
        self._roster.seats = fresh  # so that the metrics show them while they load
        self._metrics.expect_workers(seat.device for seat in fresh)
        await self._keeping.fill(fresh)
        self._models = self._roster.models

    def _has_loaded(self, seat: Seat, models: Sequence[ModelInfo]) -> None:
        """Note what the worker of a seat has loaded; maybe not what the one before it had."""
        before, seat.models = seat.models, tuple(models)
        if before and [m.edition for m in before] != [m.edition for m in models]:
            log.warning("a new worker has loaded other weights", extra={"device": seat.device})
        if self._models and seat in self._roster.seats:
            self._models = self._roster.models
            self._rearrange()

    def _rearrange(self) -> None:
        """Look anew at who can answer what, and hand it out."""
        free_orphans(self._requests, self._roster.held, self._models)
        self._dispatch()
        self._part_with_idle()

    def _dispatch(self) -> None:
        self._dispatcher.hand_out(self._roster)

    def _part_with_idle(self) -> None:
        """End the workers of the weights before that nobody waits for any more."""
        if self._roster.leaving:
            self._roster.part_with_idle(self._requests.awaited)

    async def _send_canaries(self) -> None:
        for seat in self._roster.seats:
            if seat.ready_link is not None:
                self._dispatcher.send_canary(seat.ready_link)
