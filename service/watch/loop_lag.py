"""How late the event loop is: whatever holds it up makes every request wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

EVERY_S = 0.25


async def sample_lag(
    record: Callable[[float], None],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Sleep again and again, and record by how many seconds each sleep was too long."""
    while True:
        due = clock() + EVERY_S
        await sleep(EVERY_S)
        record(max(0.0, clock() - due))
