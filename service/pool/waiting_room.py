"""Where pictures wait: their bytes in the arena, themselves in the queue of their model."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from model.geometry import canvas_size
from service.engine import Picture
from service.engine_state import QueueState
from service.errors import PoisonError, TooLargeError
from service.pool.admission import Load, Wait, admit, refusal
from service.pool.arena import Arena
from service.pool.batching import BatchLimits, Item, Queue
from service.pool.canvas_limits import CanvasLimits
from service.pool.cost import CostModel
from service.pool.pending import PendingPicture, PendingRequest
from service.pool.poison import Digest, PoisonList, digest_of


class WaitingRoom:
    """The queues of all models, and what is known about what may wait in them.

    Args:
        arena: holds the bytes.
        limits: of what may wait, for each worker.
        batch_limits: of what may run together.
    """

    def __init__(self, arena: Arena, limits: Load, batch_limits: BatchLimits) -> None:
        self._arena = arena
        self._limits = limits
        self._numbers = itertools.count(1)
        self._queues: defaultdict[str, Queue[PendingPicture]] = defaultdict(
            lambda: Queue(batch_limits)
        )
        self._costs: defaultdict[str, CostModel] = defaultdict(CostModel)
        self._canvases = CanvasLimits()
        self._poison = PoisonList()

    def enter(
        self,
        request: PendingRequest,
        *,
        num_workers: int,
        shares: Mapping[str, float],
        ahead_s: float,
        now: float,
    ) -> None:
        """Let a request's pictures wait, all of them or none; their bytes leave the request.

        Args:
            num_workers: that run this model.
            shares: of what waits for each model, the part that those workers will do.
            ahead_s: of work that those workers hold already.

        Raises:
            QueueFullError, TooLargeError, PoisonError: the request is refused.
        """
        job = request.job
        pictures = [self._judged(request, index, now) for index in range(len(job.pictures))]
        new = _load(pictures)
        cost, queue = self._costs[job.model], self._queues[job.model]
        own = cost.seconds(sum(p.canvas_pixels for p in pictures), 1)
        queued_s = sum(
            share * self._queues[name].expected_seconds(self._costs[name])
            for name, share in shares.items()
        )
        waiting_s = (ahead_s + queued_s) / num_workers
        wait = Wait(waiting=waiting_s, own=own, allowed=job.deadline - now)
        waiting = Load(images=len(queue), bytes=queue.num_bytes, pixels=queue.source_pixels)
        limits = replace(
            self._limits,
            images=self._limits.images * num_workers,
            pixels=self._limits.pixels * num_workers,
        )
        admit(new, waiting, limits, wait)
        self._store(pictures, len(queue), waiting_s)
        request.pictures = pictures
        for picture in pictures:
            queue.add(picture)

    def oldest(
        self, model: str, accepts: Callable[[PendingPicture], bool]
    ) -> PendingPicture | None:
        """Return the picture that has waited longest for a model, of those that are accepted."""
        return self._queues[model].oldest(accepts)

    def take(
        self, model: str, accepts: Callable[[PendingPicture], bool], *, is_idle: bool, now: float
    ) -> tuple[list[PendingPicture], list[PendingPicture]]:
        """Take the next batch for a model out, and what is hopeless; see `Queue.take`."""
        cost = self._costs[model]
        return self._queues[model].take(accepts, is_idle=is_idle, now=now, cost=cost)

    def fill(self, pictures: Sequence[PendingPicture]) -> float:
        """Return how full a batch is, 0 to 1: its pictures, of those that there was room for."""
        first = pictures[0]
        room = self._queues[first.request.job.model].limits.room(first.canvas_pixels)
        return min(1.0, len(pictures) / room)

    def expected_s(self, model: str, pixels: int) -> float:
        """Return the seconds that a batch of so many padded pixels should take."""
        return self._costs[model].seconds(pixels)

    def learn(self, model: str, pixels: int, seconds: float) -> None:
        """Note what a batch took."""
        self._costs[model].observe(pixels, seconds)

    def leave(self, request: PendingRequest) -> int:
        """Take out what of a request still waits; return how many pictures that were."""
        gone = [p for p in request.pictures if self._queues[request.job.model].remove(p)]
        for picture in gone:
            self.release(picture)
        return len(gone)

    def release(self, picture: PendingPicture) -> None:
        """Give a picture's memory back."""
        if picture.offset is not None:
            self._arena.free(picture.offset)
            picture.offset = None

    def put_back(self, pictures: Iterable[PendingPicture]) -> None:
        """Let pictures wait again, before all others; each of them has to run alone."""
        by_model: defaultdict[str, list[PendingPicture]] = defaultdict(list)
        for picture in pictures:
            picture.alone = True
            by_model[picture.request.job.model].append(picture)
        for model, again in by_model.items():
            self._queues[model].put_back(again)

    def suspect(self, pictures: Iterable[PendingPicture], guilt: float, now: float) -> None:
        """Note under which pictures a worker was lost, the same bytes once."""
        digests = {self._digest(picture) for picture in pictures}
        for digest in digests:
            self._poison.suspect(digest, guilt, now, is_alone=len(digests) == 1)

    def is_poison(self, picture: PendingPicture, now: float) -> bool:
        """Whether workers are lost under that picture; its bytes must still be here."""
        return self._poison.is_refused(self._digest(picture), now)

    def has_answer(self, picture: PendingPicture, now: float) -> None:
        """Note that a picture was computed: it is no poison, and its canvas finds memory."""
        if self._poison.may_know(picture.length, now):
            self._poison.acquit(self._digest(picture))
        self._canvases.prove(picture.request.job.model, picture.canvas_pixels)

    def has_no_memory(self, model: str, pixels: int, now: float) -> None:
        """Note that a canvas of that size found no memory; see `CanvasLimits.refuse`."""
        self._canvases.refuse(model, pixels, now)

    def expect(self, warmed: Mapping[str, tuple[int, float]]) -> None:
        """Take what a worker's warm-up tells of each model, until batches tell better.

        Args:
            warmed: the most padded pixels that ran together, and seconds for each.
        """
        for model, (pixels, seconds_per_pixel) in warmed.items():
            self._costs[model].expect(seconds_per_pixel)
            self._canvases.prove(model, pixels)

    def forget_memory(self) -> None:
        """Let every size try again: other weights need more or less."""
        self._canvases.forget()

    def states(self, num_workers: Callable[[str], int], now: float) -> tuple[QueueState, ...]:
        """Return how each queue stands."""
        return tuple(
            QueueState(
                model=model,
                images=len(queue),
                pixels=queue.source_pixels,
                bytes=queue.num_bytes,
                oldest_seconds=max((now - item.submitted for item in queue), default=0.0),
                expected_seconds=queue.expected_seconds(self._costs[model])
                / max(1, num_workers(model)),
            )
            for model, queue in self._queues.items()
        )

    def _judged(self, request: PendingRequest, index: int, now: float) -> PendingPicture:
        """Return a picture as an item. Raises TooLargeError, PoisonError."""
        job = request.job
        picture = job.pictures[index]
        height, width = canvas_size(picture.height, picture.width, request.model.config.input)
        if self._canvases.is_too_big(job.model, height * width, now):
            raise TooLargeError(
                f"it is {picture.width}×{picture.height}, for which this server has not enough "
                "memory; send a smaller image"
            ).about_image(index, picture.id)
        is_strange = self._poison.may_know(len(picture.data), now)
        digest = digest_of(picture.data) if is_strange else None
        if digest is not None and self._poison.is_refused(digest, now):
            raise poisoned(picture, index)
        return PendingPicture(
            group=(height, width, job.asked.task),
            canvas_pixels=height * width,
            source_pixels=picture.height * picture.width,
            num_bytes=len(picture.data),
            submitted=now,
            deadline=job.deadline,
            alone=digest is not None and self._poison.is_suspect(digest, now),
            canvas=(height, width),
            number=next(self._numbers),
            request=request,
            index=index,
            offset=None,
            length=len(picture.data),
            digest=digest,
        )

    def _digest(self, picture: PendingPicture) -> Digest:
        """Return what the poison list knows a picture by; its bytes must still be here."""
        if picture.digest is None:
            assert picture.offset is not None
            picture.digest = digest_of(self._arena.read(picture.offset, picture.length))
        return picture.digest

    def _store(self, pictures: list[PendingPicture], num_waiting: int, waiting_s: float) -> None:
        for picture in pictures:
            source = picture.request.job.pictures[picture.index]
            picture.offset = self._arena.put(source.data)
            if picture.offset is None:
                for stored in pictures:
                    self.release(stored)
                raise refusal(num_waiting, waiting_s)
        for picture in pictures:
            picture.request.job.pictures[picture.index].drop_data()


def poisoned(picture: Picture, index: int) -> Exception:
    """Return what the sender of a picture is told that kills workers."""
    return PoisonError(
        "the server stopped unexpectedly each time it worked on this image; it is refused for "
        "now: save it anew with another program, or send another one"
    ).about_image(index, picture.id)


def _load(items: Iterable[Item]) -> Load:
    items = list(items)
    return Load(
        images=len(items),
        bytes=sum(item.num_bytes for item in items),
        pixels=sum(item.source_pixels for item in items),
    )
