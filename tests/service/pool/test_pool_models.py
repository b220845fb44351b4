"""Several models on one device."""

from __future__ import annotations

import asyncio

from pool_harness import companies_of, outcome_of, until_out, until_waiting, with_engine
from service_fakes import until

from service.errors import QueueFullError, ServiceError
from service.pool.pool_engine import PoolEngine

_TWO = {"models": ["one=x", "two=x"], "max_batch_images": 1}


def test_each_has_its_own_queue_and_the_oldest_picture_is_first() -> None:
    async def play(engine: PoolEngine) -> None:
        done: list[str] = []

        async def ask(model: str) -> None:
            await outcome_of(engine, "slow 0.05", model=model)
            done.append(model)

        order = ["one", "one", "two", "one", "two", "two", "one"]
        await asyncio.gather(*(ask(model) for model in order))
        assert done == order

    with_engine(play, **_TWO)


def test_a_suspect_of_one_model_is_not_overtaken_for_ever_by_another() -> None:
    async def play(engine: PoolEngine) -> None:
        leaving = asyncio.create_task(outcome_of(engine, "die", model="one"))
        await until_out(engine, 1)
        leaving.cancel()  # nobody learns that it kills
        await asyncio.gather(leaving, return_exceptions=True)

        num_answered = 0

        async def keep_busy() -> None:
            nonlocal num_answered
            while True:
                await outcome_of(engine, "slow 0.05", model="two")
                num_answered += 1

        busy = [asyncio.create_task(keep_busy()) for _ in range(4)]
        await until(lambda: num_answered >= 8)
        suspect = asyncio.create_task(outcome_of(engine, "die", model="one", allowed_s=5))
        behind = asyncio.create_task(outcome_of(engine, "good", model="one", allowed_s=5))
        assert isinstance(await suspect, ServiceError)
        assert companies_of(await behind) == ["good"]
        for task in busy:
            task.cancel()

    with_engine(play, **_TWO)


def test_a_device_that_another_model_keeps_busy_refuses_at_once() -> None:
    async def play(engine: PoolEngine) -> None:
        await outcome_of(engine, "slow 0.2", model="two")  # so that its cost is known
        busy = [
            asyncio.create_task(outcome_of(engine, f"slow 0.2 {n}", model="two")) for n in range(30)
        ]
        await until_waiting(engine, 28, model="two")
        refused = await outcome_of(engine, "ok", model="one", allowed_s=2)
        assert isinstance(refused, QueueFullError)
        assert refused.retry_after_s is not None
        assert 2 <= refused.retry_after_s <= 6
        assert companies_of(await outcome_of(engine, "ok", model="one")) == ["ok"]
        for task in busy:
            task.cancel()

    with_engine(play, **_TWO)
