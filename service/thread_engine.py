"""An engine in this process: one thread that owns the model and runs one job at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from service.engine import Job, LoadError, ModelInfo, Picture, PictureAnswer, Result
from service.errors import QueueFullError, ServiceError, UnavailableError

log = logging.getLogger(__name__)

LOADING_RETRY_S = 5
# How much the newest measurement weighs in the mean that Retry-After is reckoned from.
MEAN_WEIGHT = 0.2


class PictureWorker(Protocol):
    """What the thread runs: a loaded model. Only ever called in that thread."""

    @property
    def model(self) -> ModelInfo:
        """The loaded model."""
        ...

    def warm_up(self) -> None:
        """Run once, so that the first caller does not pay for it."""
        ...

    def run(self, job: Job, picture: Picture) -> PictureAnswer:
        """Return one picture's answer. Raises ServiceError if the picture is at fault."""
        ...


@dataclass(eq=False)
class _Ticket:
    """A job in the queue, and who waits for it. `abandoned`: nobody does any more."""

    job: Job
    answer: asyncio.Future[Result]
    submitted: float
    abandoned: bool = False


class ThreadEngine:
    """An `Engine` of one thread.

    Args:
        load: returns the loaded worker; runs in the thread. ValueError and OSError are taken
            as the operator's to mend, and their text is shown as it is.
        max_waiting_images: images that may wait, those of the running job not counted.
        max_waiting_bytes: encoded bytes that may wait.
    """

    def __init__(
        self,
        load: Callable[[], PictureWorker],
        *,
        max_waiting_images: int,
        max_waiting_bytes: int,
    ) -> None:
        self._load = load
        self._max_images = max_waiting_images
        self._max_bytes = max_waiting_bytes
        self._lock = threading.Condition()  # guards the next three
        self._waiting: deque[_Ticket] = deque()
        self._stopping = False
        self._draining = False
        self._models: tuple[ModelInfo, ...] = ()
        self._failure: LoadError | None = None
        self._mean_s = 1.0
        # A daemon: a download or a forward pass cannot be interrupted, an exit must not wait.
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to load; return at once."""
        self._loop = asyncio.get_running_loop()
        self._loaded = asyncio.Event()
        self._thread.start()

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The loaded model, or none yet."""
        return self._models

    @property
    def unready_reason(self) -> str | None:
        """Why no new traffic should come; None when it should."""
        if self._stopping or self._draining:
            return "the server is draining before it stops"
        return None if self._models else "the model is still loading"

    async def wait_until_loaded(self) -> None:
        """Return once jobs can run. Raises LoadError if they never will."""
        await self._loaded.wait()
        if self._failure is not None:
            raise self._failure

    async def submit(self, job: Job) -> Result:
        """Return the answers of a job; see `Engine.submit`."""
        ticket = _Ticket(job=job, answer=self._loop.create_future(), submitted=time.monotonic())
        with self._lock:
            self._admit(job)
            self._waiting.append(ticket)
            self._lock.notify()
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            ticket.abandoned = True
            with self._lock, suppress(ValueError):  # ValueError: it has started
                self._waiting.remove(ticket)
            raise

    def drain(self) -> None:
        """Become unready, but go on taking jobs."""
        self._draining = True

    def stop(self) -> None:
        """Refuse what waits, and let the thread end after the job it is at."""
        with self._lock:
            self._stopping = True
            refused = list(self._waiting)
            self._waiting.clear()
            self._lock.notify()
        for ticket in refused:
            _settle(ticket, UnavailableError("the server stopped; send the request again"))

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _admit(self, job: Job) -> None:
        if self._stopping or not self._models:
            raise UnavailableError(
                self.unready_reason or "the server is stopping", retry_after_s=LOADING_RETRY_S
            )
        num_images = sum(len(ticket.job.pictures) for ticket in self._waiting)
        num_bytes = sum(ticket.job.num_bytes for ticket in self._waiting)
        if (
            num_images + len(job.pictures) > self._max_images
            or num_bytes + job.num_bytes > self._max_bytes
        ):
            # By then, all that waits now is done.
            raise QueueFullError(
                f"{num_images} images are waiting already; send the request again later",
                retry_after_s=max(1, math.ceil(num_images * self._mean_s)),
            )

    # Below here: the thread.

    def _work(self) -> None:
        try:
            worker = self._load()
            started = time.monotonic()
            worker.warm_up()
            self._mean_s = time.monotonic() - started
        except BaseException as error:
            self._failure = LoadError(_one_line(error))
            if not isinstance(error, ValueError | OSError):
                log.exception("loading failed")
            self._tell(self._loaded.set)
            return
        self._models = (worker.model,)
        del self._load
        self._tell(self._loaded.set)
        while (ticket := self._next()) is not None:
            self._tell(_settle, ticket, self._run(worker, ticket))

    def _next(self) -> _Ticket | None:
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._stopping)
            return self._waiting.popleft() if self._waiting else None

    def _run(self, worker: PictureWorker, ticket: _Ticket) -> Result | BaseException:
        started = time.monotonic()
        seconds = {"queue": started - ticket.submitted}
        bodies: list[bytes] = []
        for index, picture in enumerate(ticket.job.pictures):
            if ticket.abandoned:
                return asyncio.CancelledError()
            try:
                answer = worker.run(ticket.job, picture)
            except ServiceError as error:
                return error.about_image(index, picture.id)
            except BaseException as error:  # the waiter is told, whatever it is
                return error
            bodies.append(answer.body)
            for stage, value in answer.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
        mean_s = (time.monotonic() - started) / max(1, len(bodies))
        self._mean_s += MEAN_WEIGHT * (mean_s - self._mean_s)
        return Result(bodies=tuple(bodies), seconds=seconds)

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *arguments)


def _settle(ticket: _Ticket, outcome: Result | BaseException) -> None:
    if ticket.answer.done():
        return
    if isinstance(outcome, Result):
        ticket.answer.set_result(outcome)
    elif isinstance(outcome, StopIteration | asyncio.CancelledError | SystemExit):
        ticket.answer.set_exception(RuntimeError(f"the worker raised {outcome!r}"))
    else:
        ticket.answer.set_exception(outcome)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"
