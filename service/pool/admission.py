"""Whether a request may wait: refused at once where the queue would grow or the wait be in vain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.errors import QueueFullError


@dataclass(frozen=True, kw_only=True)
class Load:
    """Images, their encoded bytes and their source pixels."""

    images: int
    bytes: int
    pixels: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Seconds.

    waiting: until all that waits now is done, measured. own: for the request itself.
    allowed: until the request's deadline.
    """

    waiting: float
    own: float
    allowed: float


def admit(new: Load, waiting: Load, limits: Load, wait: Wait) -> None:
    """Let a request in, or refuse it.

    Whoever finds an empty queue gets in: the limits on one request are checked elsewhere, and
    an estimate must be able to meet the truth.

    Raises:
        QueueFullError: with the seconds after which there will be room.
    """
    if waiting.images == 0:
        return
    excess = max(
        (waiting.images + new.images - limits.images) / waiting.images,
        (waiting.bytes + new.bytes - limits.bytes) / max(1, waiting.bytes),
        (waiting.pixels + new.pixels - limits.pixels) / max(1, waiting.pixels),
    )
    if excess > 0:
        raise refusal(waiting.images, min(1.0, excess) * wait.waiting)
    late = wait.waiting + wait.own - wait.allowed
    if late > 0:
        raise refusal(waiting.images, min(late, wait.waiting))


def refusal(num_waiting: int, after_s: float) -> QueueFullError:
    """Return what a request is told that must not wait; `after_s` is rounded up to seconds."""
    return QueueFullError(
        f"{num_waiting} images are waiting already; send the request again later",
        retry_after_s=max(1, math.ceil(after_s)),
    )
