"""The batches that one worker has and has not finished."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.pool.pending import PendingPicture

if TYPE_CHECKING:
    from service.watch.tracing_spans import BatchSpan


@dataclass(eq=False, kw_only=True)
class Sent:
    """A batch that a worker has and has not finished.

    work: its pictures. pixels: padded, of all of it. expected_s: what it should take.
    allowed_s: after so many seconds at the head of what the worker has, it hangs.
    reached_head: when it got there; None while another batch is before it.
    encoded_by: when it should be done at the latest; set once the device is through with it and
        its answers are being drawn.
    """

    number: int
    work: Sequence[PendingPicture]
    pixels: int
    expected_s: float
    allowed_s: float
    reached_head: float | None = None
    encoded_by: float | None = None
    span: BatchSpan | None = None


class SentBatches:
    """Batches in the order in which they were sent.

    last_change: of what is here, on the monotonic clock.
    """

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self.last_change = time.monotonic()

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent.values())

    @property
    def running(self) -> list[Sent]:
        """What the device has still to do, the head first."""
        return [sent for sent in self if sent.encoded_by is None]

    def get(self, number: int) -> Sent | None:
        """Return the batch of that number; None if it is not here."""
        return self._sent.get(number)

    def add(self, sent: Sent) -> None:
        """Put a batch behind the others."""
        self._sent[sent.number] = sent
        self._mark_head()

    def finish(self, number: int) -> Sent | None:
        """Take a batch out; if it was the head, the next one is from now on."""
        done = self._sent.pop(number, None)
        self._mark_head()
        return done

    def has_run(self, sent: Sent, encoded_by: float) -> None:
        """Note that the device is through with a batch."""
        sent.encoded_by = encoded_by
        self._mark_head()

    def clear(self) -> None:
        """Take everything out."""
        self._sent.clear()

    def complaint(self, now: float) -> str | None:
        """Return which batch shows that the worker hangs; None if none does."""
        for head in self.running[:1]:
            assert head.reached_head is not None
            if now - head.reached_head > head.allowed_s:
                return f"one batch for {now - head.reached_head:.1f} s"
        if any(sent.encoded_by is not None and now > sent.encoded_by for sent in self):
            return "answers that nobody waits for are not given up"
        return None

    def forgive(self, stall_s: float) -> None:
        """Leave out a time in which everything stood still."""
        for sent in self:
            if sent.reached_head is not None:
                sent.reached_head += stall_s
            if sent.encoded_by is not None:
                sent.encoded_by += stall_s

    def _mark_head(self) -> None:
        self.last_change = time.monotonic()
        for head in self.running[:1]:
            if head.reached_head is None:
                head.reached_head = self.last_change
