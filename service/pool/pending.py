"""Requests on their way through the engine, and their pictures, each on its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service.engine import Job, ModelInfo, Result
from service.pool.batching import Item
from service.pool.poison import Digest

if TYPE_CHECKING:
    from service.pool.link import WorkerLink
    from service.watch.tracing_spans import BatchSpan


@dataclass(eq=False, kw_only=True)
class PendingRequest:
    """A request that was let in, until it is answered or given up.

    model: as the answer will name it.
    edition: of the model that may run its pictures; None until the first of them is sent. The
        answers of two sets of weights must not mix.
    unwanted: why nobody waits for it any more, as the metrics name it; empty while somebody does.
    """

    job: Job
    model: ModelInfo
    answer: asyncio.Future[Result]
    pictures: list[PendingPicture] = field(default_factory=list)
    edition: str | None = None
    unwanted: str = ""
    bodies: dict[int, bytes] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it is answered, or nobody waits any more."""
        return self.answer.done()

    def fits(self, model: ModelInfo) -> bool:
        """Whether a model that came after the one it was judged by can do what it asks for."""
        is_same = self.job.category_ids is None or model.categories == self.model.categories
        return is_same and self.job.task in model.tasks

    def add(self, index: int, body: bytes, seconds: dict[str, float]) -> None:
        """Take in one picture's answer; the last one completes the request."""
        self.bodies[index] = body
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value
        if len(self.bodies) == len(self.pictures) and not self.is_over:
            bodies = tuple(self.bodies[number] for number in range(len(self.pictures)))
            self.answer.set_result(Result(bodies=bodies, seconds=self.seconds, model=self.model))

    def fail(self, error: Exception) -> None:
        """Answer the whole request with an error, unless it is over."""
        if not self.is_over:
            self.answer.set_exception(error)


@dataclass(eq=False, kw_only=True)
class PendingPicture(Item):
    """One picture of a request, as it waits and as it runs.

    canvas: height and width of what the network will see.
    offset: where its bytes lie in the arena; None once they are given back.
    num_deaths: workers that died while they had it.
    is_computed: whether the worker had an answer to it.
    sent: when it left the queue, on the monotonic clock. link: the worker it went to last.
    digest: what the poison list knows it by, where that had to be asked.
    span: of the batch it is in; None where nothing is traced.
    """

    canvas: tuple[int, int]
    number: int
    request: PendingRequest
    index: int
    offset: int | None
    length: int
    num_deaths: int = 0
    is_computed: bool = False
    sent: float = 0.0
    link: WorkerLink | None = None
    digest: Digest | None = None
    span: BatchSpan | None = None

    @property
    def is_brief(self) -> bool:
        """Whether its answer is encoded in no time."""
        return self.request.job.is_brief

    @property
    def id(self) -> str | None:
        """What the caller calls it."""
        return self.request.job.pictures[self.index].id

    def to_json(self) -> dict[str, Any]:
        """Return what a worker is told of it."""
        job = self.request.job
        return {
            "item": self.number,
            "offset": self.offset,
            "length": self.length,
            "task": job.task,
            "score_threshold": job.score_threshold,
            "max_instances": job.max_instances,
            "category_ids": None if job.category_ids is None else sorted(job.category_ids),
            "masks": job.masks,
            "picture_type": job.picture_type,
            "id": self.id,
            "request_id": job.request_id,
            "traceparent": job.traceparent,
        }
