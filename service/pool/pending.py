"""Requests on their way through the engine, and their pictures, each on its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.engine import Job, ModelInfo, Result
from service.pool.batching import Item
from service.pool.messages import BatchItem
from service.pool.poison import Digest

if TYPE_CHECKING:
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
        asked = self.job.asked
        is_same = asked.predict.category_ids is None or model.categories == self.model.categories
        return is_same and asked.task in model.tasks

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
    sent: when it left the queue, on the monotonic clock.
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
    digest: Digest | None = None
    span: BatchSpan | None = None

    @property
    def is_brief(self) -> bool:
        """Whether its answer is encoded in no time."""
        return self.request.job.asked.is_brief

    @property
    def id(self) -> str | None:
        """What the caller calls it."""
        return self.request.job.pictures[self.index].id

    def batch_item(self) -> BatchItem:
        """Return what a worker is told of it; its bytes must still be here."""
        assert self.offset is not None
        return BatchItem(
            number=self.number,
            offset=self.offset,
            length=self.length,
            asked=self.request.job.asked,
            id=self.id,
            request_id=self.request.job.request_id,
        )
