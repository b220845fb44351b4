"""Hands out batches to workers, and passes on what they answer."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from service.errors import INTERNAL_DETAIL, DeadlineError, InternalError
from service.pool.link import WorkerLink
from service.pool.messages import Batch, Canary, CanaryRan, Done, Drop, OfPicture, Ran
from service.pool.outcomes import settle
from service.pool.pending import PendingPicture, PendingRequest
from service.pool.recovery import worth_another_worker
from service.pool.seats import Seat
from service.pool.sent_batches import Sent
from service.pool.waiting_room import WaitingRoom
from service.pool.wire import Frame
from service.watch.metrics import Metrics

if TYPE_CHECKING:
    from service.watch.tracing_spans import Tracing

log = logging.getLogger(__name__)

# One batch runs, and one is prepared meanwhile.
_MOST_RUNNING = 2
# Batches with something to draw, of large pictures maybe, that a worker may have. Others don't
# wait for them.
_MOST_DRAWN = 4
# A batch may take so many times what it was expected to.
_PATIENCE = 10.0
_CANARY = -1


class Dispatcher:
    """Knows which pictures are out at a worker.

    Args:
        room: where pictures wait.
        hang_s: a batch may take that long whatever is expected of it.
        tracing: makes the spans of batches; None: nobody wants any.
    """

    def __init__(
        self,
        room: WaitingRoom,
        metrics: Metrics,
        *,
        hang_s: float,
        tracing: Tracing | None = None,
    ) -> None:
        self._room = room
        self._metrics = metrics
        self._hang_s = hang_s
        self._tracing = tracing
        self._numbers = itertools.count(1)
        # What is not answered yet, by number, and who has it.
        self._out: dict[int, tuple[PendingPicture, WorkerLink]] = {}

    def hand_out(self, seats: Iterable[Seat]) -> None:
        """Send batches for as long as somebody waits and a worker has room."""
        free = [(seat, link) for seat in seats if (link := seat.ready_link) is not None]
        while free:
            seat, link = min(free, key=lambda pair: len(pair[1].sent.running))
            if not self._send_next(seat, link, time.monotonic()):
                free.remove((seat, link))

    def send_canary(self, link: WorkerLink) -> None:
        """Have a worker prove itself when it comes to it; not if it was asked already."""
        if link.sent.get(_CANARY) is None:
            link.send_batch(Canary(), self._sent(_CANARY, (), 0, 0.0))

    def drop(self, request: PendingRequest) -> None:
        """Tell the workers that nobody waits for a request's pictures; they may have begun."""
        for picture in request.pictures:
            if picture.number in self._out:
                _, link = self._out[picture.number]
                link.send(Drop(item=picture.number))

    def ahead_s(self, seats: Iterable[Seat]) -> float:
        """Return the seconds of work that workers hold already."""
        links = [seat.link for seat in seats if seat.link is not None]
        return sum(sent.expected_s for link in links for sent in link.sent.running)

    def on_frame(self, seat: Seat, link: WorkerLink, frame: Frame) -> None:
        """Pass on what a worker says of a picture or a batch. ValueError if it is neither."""
        said = frame.message
        match said:
            case CanaryRan(ok=ok, text=text):
                link.sent.finish(_CANARY)
                if not ok:
                    log.error("a canary died", extra={"device": link.device, "why": text})
                    link.kill("canary")
            case Ran():
                self._batch_ran(link, said)
            case Done():
                self._batch_done(seat, link, said)
            case OfPicture(item=number):
                if number in self._out:  # else: it was answered already
                    picture, _ = self._out[number]
                    settle(picture, frame, link.device, self._room, self._metrics)
                    del self._out[number]
            case _:
                raise ValueError(f"a worker says what is the server's to say: {said}")

    def bring_home(self, link: WorkerLink, reason: str) -> None:
        """Let the pictures of a lost worker run again, each once and alone, or give them up."""
        pictures = [picture for sent in link.sent for picture in sent.work]
        for sent in link.sent:
            if sent.span is not None:
                sent.span.end(failure=reason)
        link.sent.clear()
        undone = [p for p in pictures if self._out.pop(p.number, None) is not None]
        again = worth_another_worker(undone, link, reason, self._room)
        for picture in pictures:
            if picture not in again:
                self._room.release(picture)
        self._room.put_back(again)
        for _ in again:
            self._metrics.retried()

    def _send_next(self, seat: Seat, link: WorkerLink, now: float) -> bool:
        """Send a worker one batch; return whether it might get another."""
        if len(link.sent.running) >= _MOST_RUNNING or _is_alone(link):
            return False
        may_draw = sum(map(_is_lengthy, link.sent)) < _MOST_DRAWN

        def accepts(picture: PendingPicture) -> bool:
            if picture.request.is_over:
                return False  # it leaves the queue in a moment
            if not (may_draw or picture.is_brief):
                return False
            edition = picture.request.edition
            if edition is None:
                return not seat.is_retired
            return editions[picture.request.job.model] == edition

        editions = {model.name: model.edition for model in seat.models}
        heads = {name: self._room.oldest(name, accepts) for name in editions}
        waiting = sorted((head.submitted, name) for name, head in heads.items() if head)
        for _, name in waiting:
            pictures, hopeless = self._room.take(name, accepts, is_idle=not link.sent, now=now)
            self._give_up_late(hopeless)
            if pictures:
                self._send(seat, link, name, pictures, now)
                return True
            if self._room.oldest(name, accepts) is not None:
                return False  # it has to be alone: other models' pictures don't overtake it either
        return False

    def _send(
        self, seat: Seat, link: WorkerLink, name: str, pictures: list[PendingPicture], now: float
    ) -> None:
        pixels = sum(picture.canvas_pixels for picture in pictures)
        expected_s = self._room.expected_s(name, pixels)
        sent = self._sent(next(self._numbers), pictures, pixels, expected_s)
        items = [picture.batch_item() for picture in pictures]
        try:
            link.send_batch(Batch(batch=sent.number, model=name, items=items), sent)
        except ValueError as error:
            log.error("a batch cannot be sent", extra={"why": str(error)})
            for picture in pictures:
                self._room.release(picture)
                picture.request.fail(InternalError(INTERNAL_DETAIL))
            return
        if self._tracing is not None:
            parents = [picture.request.job.traceparent for picture in pictures]
            sent.span = self._tracing.begin_batch(model=name, device=link.device, parents=parents)
        model = next(model for model in seat.models if model.name == name)
        for picture in pictures:
            picture.sent, picture.span = now, sent.span
            picture.request.edition, picture.request.model = model.edition, model
            self._out[picture.number] = picture, link

    def _sent(
        self, number: int, work: Sequence[PendingPicture], pixels: int, expected_s: float
    ) -> Sent:
        return Sent(
            number=number,
            work=tuple(work),
            pixels=pixels,
            expected_s=expected_s,
            allowed_s=max(self._hang_s, _PATIENCE * expected_s),
        )

    def _give_up_late(self, hopeless: Iterable[PendingPicture]) -> None:
        for picture in hopeless:
            self._room.release(picture)
            self._metrics.dropped("deadline")
            picture.request.fail(
                DeadlineError(
                    "the request cannot be answered in the time it has; send fewer or smaller "
                    "images, or ask again when the server is less busy"
                )
            )

    def _batch_ran(self, link: WorkerLink, said: Ran) -> None:
        ran = link.sent.get(said.batch)
        if ran is not None and ran.encoded_by is None:
            if not said.has_aside:
                self._learn(ran)
            deadline = max(picture.deadline for picture in ran.work)
            link.sent.has_run(ran, encoded_by=deadline + self._hang_s)

    def _learn(self, ran: Sent) -> None:
        """Learn from a batch that has just run what such a batch costs."""
        if ran.reached_head is None:
            return  # it overtook another: nobody knows what it took
        computed = [p for p in ran.work if p.is_computed or p.number in self._out]
        pixels = sum(picture.canvas_pixels for picture in computed)
        held_s = time.monotonic() - ran.reached_head
        self._room.learn(ran.work[0].request.job.model, pixels, held_s)

    def _batch_done(self, seat: Seat, link: WorkerLink, done: Done) -> None:
        sent = link.sent.finish(done.batch)
        if sent is None:
            return
        if sent.encoded_by is None:
            self._learn(sent)
        for picture in sent.work:
            if self._out.pop(picture.number, None) is not None:  # a worker that forgets
                log.error("no answer", extra={"request_id": picture.request.job.request_id})
                picture.request.fail(InternalError(INTERNAL_DETAIL))
            self._room.release(picture)
        seat.has_worked()
        if sent.span is not None:
            sent.span.end(padded_pixels=done.pixels)
        self._metrics.batch(
            model=sent.work[0].request.job.model,
            device=link.device,
            num_images=len(sent.work),
            fill=self._room.fill(sent.work),
            padded_pixels=done.pixels,
            seconds=done.run_seconds,
        )


def _is_alone(link: WorkerLink) -> bool:
    """Whether the worker has a picture that must have no company."""
    return any(picture.alone for sent in link.sent for picture in sent.work)


def _is_lengthy(sent: Sent) -> bool:
    """Whether there is something to draw for an answer."""
    return not all(picture.is_brief for picture in sent.work)
