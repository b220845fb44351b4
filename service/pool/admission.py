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

    waiting: until all that the same devices have to do before it is done, measured.
    own: for the request itself.
    allowed: until the request's deadline.
    """

    waiting: float
    own: float
    allowed: float


def admit(new: Load, waiting: Load, limits: Load, wait: Wait) -> None:
    """Let a request in, or refuse it.

    Whoever finds an empty queue is within the limits, since those on one request are checked
    elsewhere, and is not judged by its own cost: an estimate must be able to meet the truth.

    Args:
        waiting: for the same model.
    Raises:
        QueueFullError: with the seconds after which there will be room.
    """
    own_s = 0.0
    if waiting.images > 0:
        own_s = wait.own
        excess = max(
            (waiting.images + new.images - limits.images) / waiting.images,
            (waiting.bytes + new.bytes - limits.bytes) / max(1, waiting.bytes),
            (waiting.pixels + new.pixels - limits.pixels) / max(1, waiting.pixels),
        )
        if excess > 0:
            raise refusal(waiting.images, min(1.0, excess) * wait.waiting)
    late_s = wait.waiting + own_s - wait.allowed
    if late_s > 0:
        raise refusal(waiting.images, min(late_s, wait.waiting))


def refusal(num_waiting: int, after_s: float) -> QueueFullError:
    """Return what a request is told that must not wait; `after_s` is rounded up to seconds.

    Args:
        num_waiting: images for the same model.
    """
    queue = "the server is busy"
    if num_waiting:
        images = "1 image is" if num_waiting == 1 else f"{num_waiting} images are"
        queue = f"{images} waiting already"
    return QueueFullError(
        f"{queue}; send the request again later", retry_after_s=max(1, math.ceil(after_s))
    )
