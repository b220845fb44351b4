"""The tasks that keep seats filled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.engine import LoadError
from service.pool.seats import Seat


class Keeping:
    """Fills seats, and keeps them filled until it is told to stop."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._filling: set[asyncio.Task[None]] = set()

    async def fill(self, seats: Sequence[Seat]) -> None:
        """Return once each of the seats has a worker that is ready.

        Raises:
            LoadError: one of them never will, or it was given up; then none is kept.
        """
        filling = asyncio.create_task(self._fill(seats))
        self._filling.add(filling)
        try:
            await filling
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the caller is cancelled
                raise
            raise LoadError("the server is draining before it stops") from None
        finally:
            self._filling.discard(filling)

    def give_up(self) -> None:
        """End whatever is being filled."""
        for task in self._filling:
            task.cancel()

    def stop(self) -> None:
        """Keep no seat any more: their workers are killed."""
        for task in self.tasks:
            task.cancel()

    async def _fill(self, seats: Sequence[Seat]) -> None:
        tasks = [asyncio.create_task(seat.keep()) for seat in seats]
        for task in tasks:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        try:
            for seat in seats:
                await seat.settled.wait()
                if seat.failure is not None:
                    raise seat.failure
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
