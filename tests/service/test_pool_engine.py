"""The engine with real processes that have no network behind them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from service_fakes import INSTANCE_MODEL, until

from service.configuration.settings import Settings
from service.engine import Job, LoadError, Picture, Result
from service.errors import (
    DeadlineError,
    InternalError,
    NotAnImageError,
    PoisonError,
    QueueFullError,
    ServiceError,
    TooLargeError,
    UnavailableError,
)
from service.pool.engine import PoolEngine
from service.pool.opening import open_engine
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


def _job(*texts: str, allowed_s: float = 30.0, size: tuple[int, int] = (240, 320)) -> Job:
    height, width = size
    return Job(
        task="segment",
        model=INSTANCE_MODEL.name,
        pictures=tuple(
            Picture(data=text.encode(), id=str(n), height=height, width=width)
            for n, text in enumerate(texts)
        ),
        score_threshold=0.3,
        max_instances=100,
        category_ids=None,
        masks="rle",
        picture_type=None,
        deadline=time.monotonic() + allowed_s,
        request_id="test",
    )


@asynccontextmanager
async def _running(
    *flags: str, devices: tuple[str, ...] = ("cpu",), **settings: Any
) -> AsyncIterator[PoolEngine]:
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


def _with_engine(
    play: Callable[[PoolEngine], Awaitable[None]], *flags: str, **settings: Any
) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), _running(*flags, **settings) as engine:
            await play(engine)

    asyncio.run(run())


async def _outcome(engine: PoolEngine, *texts: str, **job: Any) -> Result | ServiceError:
    try:
        return await engine.submit(_job(*texts, **job))
    except ServiceError as error:
        return error


def _companies(result: Result | ServiceError) -> list[str]:
    assert isinstance(result, Result), result
    return [body.decode().partition(":")[2] for body in result.bodies]


def _pid(result: Result | ServiceError) -> int:
    assert isinstance(result, Result), result
    return int(result.bodies[0].decode().partition(":")[0])


def test_a_picture_is_answered_and_its_memory_given_back() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(_job("ok"))
        assert _companies(result) == ["ok"]
        assert set(result.seconds) == {"queue", "forward"}
        assert result.model == INSTANCE_MODEL
        await until(lambda: engine.state().arena_used_bytes == 0)

    _with_engine(play)


def test_a_request_of_several_images_is_answered_in_order() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(_job("a", "b", "c"))
        assert _companies(result) == ["a,b,c"] * 3

    _with_engine(play)


def test_what_waits_while_a_batch_runs_runs_together() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.3")) for _ in range(2)]
        await asyncio.sleep(0.1)  # one runs, one is prepared
        waiting = [asyncio.create_task(_outcome(engine, text)) for text in "abc"]
        await asyncio.gather(*running)
        companies = [_companies(outcome) for outcome in await asyncio.gather(*waiting)]
        assert companies == [["a,b,c"]] * 3

    _with_engine(play)


def test_a_cpu_runs_one_picture_at_a_time_unless_told_otherwise() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(_job("a", "b"))
        assert _companies(result) == ["a", "b"]

    _with_engine(play, max_batch_images=None)


def test_sizes_do_not_mix() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.2")) for _ in range(2)]
        await asyncio.sleep(0.1)
        small = asyncio.create_task(_outcome(engine, "a"))
        large = asyncio.create_task(_outcome(engine, "b", size=(100, 1000)))
        await asyncio.gather(*running)
        assert _companies(await small) == ["a"]
        assert _companies(await large) == ["b"]

    _with_engine(play)


@pytest.mark.parametrize(
    ("text", "kind", "mention"),
    [
        ("refuse", NotAnImageError, "image 0 ('0'): no."),
        ("too_big", TooLargeError, "image 0 ('0'): it needs more memory"),
        ("defect", InternalError, "unexpected"),
        ("forget", InternalError, "unexpected"),
    ],
)
def test_a_pictures_fault_is_told_and_the_worker_lives_on(
    text: str, kind: type[ServiceError], mention: str
) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = _pid(await engine.submit(_job("ok")))
        error = await _outcome(engine, text)
        assert isinstance(error, kind)
        assert mention in error.detail
        assert "secret" not in error.detail
        if kind is not TooLargeError:
            assert _pid(await engine.submit(_job("ok"))) == pid
        await until(lambda: engine.state().arena_used_bytes == 0)

    _with_engine(play)


def test_one_bad_picture_fails_its_request_and_no_other() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.2")) for _ in range(2)]
        await asyncio.sleep(0.1)
        bad = asyncio.create_task(_outcome(engine, "ok", "refuse"))
        good = asyncio.create_task(_outcome(engine, "good"))
        await asyncio.gather(*running)
        error = await bad
        assert isinstance(error, NotAnImageError)
        assert error.image == {"index": 1, "id": "1"}
        assert _companies(await good) == ["ok,refuse,good"]

    _with_engine(play)


def test_what_found_no_memory_is_remembered() -> None:
    async def play(engine: PoolEngine) -> None:
        await _outcome(engine, "too_big")
        error = await _outcome(engine, "ok")  # the fake says that one pixel was too much
        assert isinstance(error, TooLargeError)
        assert "320×240" in error.detail

    _with_engine(play)


def test_a_size_that_was_computed_before_is_never_shut_out() -> None:
    async def play(engine: PoolEngine) -> None:
        await engine.submit(_job("ok"))
        assert isinstance(await _outcome(engine, "too_big"), TooLargeError)
        assert isinstance(await _outcome(engine, "ok"), Result)

    _with_engine(play)


def test_an_innocent_picture_survives_its_worker() -> None:
    async def play(engine: PoolEngine) -> None:
        running = asyncio.create_task(_outcome(engine, "slow 0.5"))
        await asyncio.sleep(0.2)
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        assert _companies(await running) == ["slow 0.5"]
        assert engine.unready_reason is None

    _with_engine(play)


def test_a_deadly_picture_is_tried_alone_and_then_refused() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.2")) for _ in range(2)]
        await asyncio.sleep(0.1)
        deadly = asyncio.create_task(_outcome(engine, "die"))
        innocent = asyncio.create_task(_outcome(engine, "good"))
        await asyncio.gather(*running)
        assert _companies(await innocent) == ["good"]  # it did run alone
        assert isinstance(await deadly, PoisonError)
        again = await _outcome(engine, "die")
        assert isinstance(again, PoisonError)
        assert "image 0" in again.detail

    _with_engine(play)


def test_two_kills_from_outside_are_answered_with_503() -> None:
    async def play(engine: PoolEngine) -> None:
        error = await _outcome(engine, "kill")
        assert isinstance(error, UnavailableError)
        assert error.retry_after_s == 1

    _with_engine(play)


def test_a_hanging_worker_is_replaced() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = _pid(await engine.submit(_job("ok")))
        assert isinstance(await _outcome(engine, "hang"), PoisonError)
        assert _pid(await engine.submit(_job("ok"))) != pid

    _with_engine(play)


@pytest.mark.parametrize(("text", "kind"), [("freeze", UnavailableError), ("fatal", PoisonError)])
def test_a_silent_worker_and_a_broken_device_are_replaced(
    text: str, kind: type[ServiceError]
) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = _pid(await engine.submit(_job("ok")))
        assert isinstance(await _outcome(engine, text), kind)
        assert _pid(await engine.submit(_job("ok"))) != pid

    _with_engine(play, hang_s=30)


def test_copies_of_one_picture_are_one_suspect() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.5")) for _ in range(4)]
        await asyncio.sleep(0.2)
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    _with_engine(play)


def test_a_failed_canary_costs_the_worker_its_place() -> None:
    async def play(engine: PoolEngine) -> None:
        first = engine.state().workers[0].pid
        await until(lambda: engine.state().workers[0].pid not in (0, first))

    _with_engine(play, "--bad-canary", "yes", canary_every_s=0.1)


def test_a_full_queue_refuses_at_once() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.3")) for _ in range(4)]
        await asyncio.sleep(0.1)  # two are at the worker, two wait
        error = await _outcome(engine, "one too many")
        assert isinstance(error, QueueFullError)
        assert error.retry_after_s is not None
        assert error.retry_after_s >= 1
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    _with_engine(play, max_waiting_images=2, max_images=2, max_batch_images=1)


def test_full_memory_refuses_at_once() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.3" + " " * 400_000))] * 2
        await asyncio.sleep(0.1)
        large = [asyncio.create_task(_outcome(engine, "x" * 400_000)) for _ in range(3)]
        outcomes = await asyncio.gather(*large)
        assert any(isinstance(outcome, QueueFullError) for outcome in outcomes)
        await asyncio.gather(*running)
        await until(lambda: engine.state().arena_used_bytes == 0)

    _with_engine(play)


def test_a_caller_who_leaves_takes_his_waiting_pictures_along() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.2")) for _ in range(2)]
        await asyncio.sleep(0.1)
        leaving = asyncio.create_task(_outcome(engine, "die"))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert engine.state().queues[0].images == 0
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    _with_engine(play)


def test_what_cannot_be_done_in_time_is_not_begun() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 0.4")) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert isinstance(await _outcome(engine, "die", allowed_s=0.2), DeadlineError)
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    _with_engine(play)


def test_two_devices_share_the_work() -> None:
    async def play(engine: PoolEngine) -> None:
        outcomes = await asyncio.gather(*(_outcome(engine, "slow 0.2") for _ in range(4)))
        assert len({_pid(outcome) for outcome in outcomes}) == 2

    _with_engine(play, devices=("cuda:0", "cuda:1"), max_batch_images=1)


def test_a_worker_that_cannot_load_ends_the_start_with_its_words() -> None:
    async def run() -> None:
        async with _running("--fail-load", "no such weights"):
            pass

    with pytest.raises(LoadError, match="no such weights"):
        asyncio.run(run())


def test_a_worker_that_dies_while_it_loads_is_not_tried_for_ever() -> None:
    async def run() -> None:
        async with _running("--die-loading", "yes"):
            pass

    with pytest.raises(LoadError, match=r"cpu ended 3 times while it loaded \(exit code 1\)"):
        asyncio.run(run())


def test_a_reload_loses_nothing_and_changes_the_worker() -> None:
    async def play(engine: PoolEngine) -> None:
        before = engine.state().workers[0].pid
        running = [asyncio.create_task(_outcome(engine, "slow 0.1")) for _ in range(20)]
        await engine.reload()
        after = _pid(await engine.submit(_job("ok")))
        assert after != before
        pids = {_pid(outcome) for outcome in await asyncio.gather(*running)}
        assert pids <= {before, after}
        assert engine.unready_reason is None

    _with_engine(play, max_batch_images=1)


def test_stopping_answers_everybody() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(_outcome(engine, "slow 5")) for _ in range(5)]
        await asyncio.sleep(0.1)
        engine.stop()
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, UnavailableError)
        assert isinstance(await _outcome(engine, "ok"), UnavailableError)

    _with_engine(play)


def test_draining_is_unready_and_goes_on() -> None:
    async def play(engine: PoolEngine) -> None:
        engine.drain()
        assert engine.unready_reason == "the server is draining before it stops"
        assert _companies(await engine.submit(_job("ok"))) == ["ok"]

    _with_engine(play)
