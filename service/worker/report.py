"""What the server is told of one batch: a frame for each picture, then one for the whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from service.errors import ServiceError
from service.pool.messages import (
    Answer,
    BatchItem,
    Defect,
    Done,
    Dropped,
    Message,
    Ran,
    Refused,
    TooBig,
)
from service.worker.wanted import Wanted

STAGES = ("decode", "preprocess", "forward", "postprocess", "encode")
Closing = Answer | Refused | Dropped | TooBig | Defect


class Send(Protocol):
    """Sends a frame: a message, and a body where there is one."""

    def __call__(self, message: Message, body: bytes = b"") -> None:
        """Send it."""
        ...


class BatchReport:
    """Closes every picture of a batch exactly once, and then the batch. Any thread may call it.

    Args:
        number: the server's for the batch.
        items: its pictures, all open at first.
        wanted: is told of each that is closed.
    """

    def __init__(self, number: int, items: Sequence[BatchItem], send: Send, wanted: Wanted) -> None:
        self._number = number
        self._send = send
        self._wanted = wanted
        self._lock = threading.Lock()  # guards the following
        self._open = {item.number for item in items}
        self._lengthy = {item.number for item in items if not item.asked.is_brief}
        self._seconds = {item.number: dict.fromkeys(STAGES, 0.0) for item in items}
        self._pixels = 0
        self._parts_to_run = 1
        self._ran_seconds = 0.0
        self._run_seconds: float | None = None  # None until all parts have run

    def spend(self, items: Sequence[BatchItem], stage: str, seconds: float) -> None:
        """Note the time of a stage that these pictures have shared."""
        with self._lock:
            for item in items:
                self._seconds[item.number][stage] += seconds / len(items)

    def computed(self, pixels: int) -> None:
        """Note that so many padded pixels went through the network."""
        with self._lock:
            self._pixels += pixels

    def put_aside(self, num_pictures: int) -> None:
        """Note that so many pictures are decoded away from the others, and run each on its own."""
        with self._lock:
            self._parts_to_run += num_pictures

    def finish_run(self, run_seconds: float) -> None:
        """Note for how long a part of the batch held the device; closes it if that was all.

        Where drawing or decoding goes on for a while, the server hears that the device is free.
        """
        with self._lock:
            self._parts_to_run -= 1
            self._ran_seconds += run_seconds
            has_aside = self._parts_to_run > 0
            if not has_aside:
                self._run_seconds = self._ran_seconds
            is_done = not has_aside and not self._open
            goes_on = has_aside or not self._open.isdisjoint(self._lengthy)
        if is_done:
            self._send_done(self._ran_seconds)
        elif goes_on:
            self._send(Ran(batch=self._number, has_aside=has_aside))

    def answer(self, item: BatchItem, body: bytes, num_instances: int) -> None:
        """Close a picture with its answer."""
        seconds = self._seconds[item.number]
        self._close(Answer(item=item.number, num_instances=num_instances, seconds=seconds), body)

    def refuse(self, item: BatchItem, error: ServiceError) -> None:
        """Close a picture that is at fault itself, or for which there is no room."""
        self._close(
            Refused(
                item=item.number,
                error=error.kind,
                detail=error.detail,
                retry_after_s=error.retry_after_s,
            )
        )

    def drop(self, item: BatchItem) -> None:
        """Close a picture that nobody waits for."""
        self._close(Dropped(item=item.number))

    def too_big(self, item: BatchItem, pixels: int) -> None:
        """Close a picture for which the memory is too small; its canvas has so many pixels."""
        self._close(TooBig(item=item.number, pixels=pixels))

    def defect(self, items: Iterable[BatchItem], text: str) -> None:
        """Close those of the pictures that are still open, by our own fault."""
        for item in items:
            if item.number in self._open:
                self._close(Defect(item=item.number, text=text))

    def _close(self, message: Closing, body: bytes = b"") -> None:
        self._send(message, body)
        self._wanted.leave(message.item)
        with self._lock:
            self._open.remove(message.item)
            run_seconds = None if self._open else self._run_seconds
        if run_seconds is not None:
            self._send_done(run_seconds)

    def _send_done(self, run_seconds: float) -> None:
        self._send(Done(batch=self._number, pixels=self._pixels, run_seconds=run_seconds))


# Closes pictures of a batch after an exception that is not their fault.
GiveUp = Callable[[Exception, Sequence[BatchItem], BatchReport], None]
