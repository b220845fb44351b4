from __future__ import annotations

import asyncio

import pytest

from service.watch.loop_lag import EVERY_S, sample_lag


def test_lag_is_what_a_sleep_takes_too_long() -> None:
    """A clock that jumps: the first sleep is on time, the second 3 s late, the third too short."""
    now = 100.0
    late = iter([0.0, 3.0, -0.1])
    recorded: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        lateness = next(late, None)
        if lateness is None:
            raise asyncio.CancelledError
        now += seconds + lateness

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sample_lag(recorded.append, sleep=sleep, clock=lambda: now))
    assert EVERY_S == 0.25  # exact in binary, so the sums below are, too
    assert recorded == [0.0, 3.0, 0.0]
