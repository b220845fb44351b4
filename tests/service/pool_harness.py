"""The engine on worker processes that have no network behind them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from service_fakes import INSTANCE_MODEL, task_of, until

from service.configuration.settings import Settings
from service.engine import Job, Picture, Result
from service.errors import ServiceError
from service.pool.opening import open_engine
from service.pool.pool_engine import PoolEngine
from service.watch.metrics import Metrics

_FAKE = Path(__file__).with_name("fake_worker.py")
_QUICK: dict[str, Any] = {
    "restart_delay_s": 0.01,
    "heartbeat_timeout_s": 1.0,
    "hang_s": 1.0,
    "max_waiting_bytes": 2**20,
    "max_body_bytes": 2**20,
    "canary_every_s": 0,
    "max_batch_images": 8,
}


def job_of(
    *texts: str,
    allowed_s: float = 30.0,
    size: tuple[int, int] = (240, 320),
    model: str = INSTANCE_MODEL.name,
    image_id: str | None = None,
    category_ids: frozenset[int] | None = None,
    masks: str = "rle",
) -> Job:
    """A request whose pictures say what the fake worker is to do."""
    height, width = size
    return Job(
        asked=task_of(category_ids=category_ids, masks=masks),
        model=model,
        pictures=tuple(
            Picture(data=text.encode(), id=image_id or str(n), height=height, width=width)
            for n, text in enumerate(texts)
        ),
        deadline=time.monotonic() + allowed_s,
        request_id="test",
    )


@asynccontextmanager
async def running(
    *flags: str, devices: tuple[str, ...] = ("cpu",), **settings: Any
) -> AsyncIterator[PoolEngine]:
    """An engine that is ready, on fake workers with these flags."""
    command = [sys.executable, str(_FAKE), *flags]
    given = Settings(**{**_QUICK, **settings, "devices": devices})
    engine = open_engine(given, Metrics(), command)
    engine.start()
    try:
        await engine.wait_until_loaded()
        yield engine
    finally:
        engine.stop()
        await engine.wait_stopped()


def with_engine(
    play: Callable[[PoolEngine], Awaitable[None]], *flags: str, **settings: Any
) -> None:
    """Run that on an engine, for a minute at most."""

    async def run() -> None:
        async with asyncio.timeout(60), running(*flags, **settings) as engine:
            await play(engine)

    asyncio.run(run())


async def outcome_of(engine: PoolEngine, *texts: str, **job: Any) -> Result | ServiceError:
    """The answer, or the refusal."""
    try:
        return await engine.submit(job_of(*texts, **job))
    except ServiceError as error:
        return error


def companies_of(result: Result | ServiceError) -> list[str]:
    """What ran together with each picture."""
    assert isinstance(result, Result), result
    return [body.decode().partition(":")[2] for body in result.bodies]


def pid_of(result: Result | ServiceError) -> int:
    """The worker that answered."""
    assert isinstance(result, Result), result
    return int(result.bodies[0].decode().partition(":")[0])


async def until_out(engine: PoolEngine, number: int) -> None:
    """Wait until workers have so many pictures."""
    await until(lambda: len(engine._dispatcher._out) == number)


async def until_waiting(engine: PoolEngine, number: int, model: str = INSTANCE_MODEL.name) -> None:
    """Wait until so many pictures wait for a model."""

    def num_waiting() -> int:
        return sum(queue.images for queue in engine.state().queues if queue.model == model)

    await until(lambda: num_waiting() == number)


async def until_half_answered(engine: PoolEngine) -> None:
    """Wait until a request has some of its answers."""
    await until(lambda: any(request.bodies for request in engine._requests))


def children() -> list[int]:
    """The worker processes of this process."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            is_worker = b"--arena" in (folder / "cmdline").read_bytes()
            if int(parent) == os.getpid() and is_worker:
                pids.append(int(folder.name))
    return pids
