"""What is done every so often, for as long as the engine runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Ticking:
    """The tasks that do it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, every_s: float, what: Callable[[], Awaitable[None]]) -> None:
        """Do that from now on; a failure is logged, and the next time comes all the same."""
        self._tasks.append(asyncio.create_task(_tick(every_s, what)))

    async def stop(self) -> None:
        """Return once nothing is done any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _tick(every_s: float, what: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await what()
        except Exception:
            log.exception("what is done every so often failed")
