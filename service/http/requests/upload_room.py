"""How many bytes all requests together may hold before the engine has taken their pictures over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.errors import QueueFullError


@dataclass
class Hold:
    """What one request holds."""

    room: UploadRoom
    num_bytes: int = 0

    def take(self, num_bytes: int) -> None:
        """Count bytes that have come. Raises QueueFullError if there is no room for them."""
        if self.room.num_bytes + num_bytes > self.room.limit:
            raise QueueFullError(
                "too many images are being sent at the same time; send the request again later",
                retry_after_s=1,
            )
        self.num_bytes += num_bytes
        self.room.num_bytes += num_bytes


@dataclass
class UploadRoom:
    """What all requests hold. Counted as it arrives, so that a promise to send keeps nobody out."""

    limit: int
    num_bytes: int = 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Give a request its hold, which ends with the block."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.num_bytes -= hold.num_bytes
