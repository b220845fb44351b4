"""What must not bring the engine down: workers that talk nonsense, linger, or are beyond help."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from pool_harness import (
    children,
    companies_of,
    job_of,
    outcome_of,
    pid_of,
    until_out,
    with_engine,
)
from service_fakes import until

from service.engine import Result
from service.errors import InternalError, PoisonError, ServiceError, UnavailableError
from service.pool.pool_engine import PoolEngine


def test_a_request_that_no_frame_can_hold_fails_alone() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        assert isinstance(await outcome_of(engine, "ok", image_id="é" * 9_000_000), InternalError)
        await until(lambda: engine.state().arena_used_bytes == 0)
        assert pid_of(await engine.submit(job_of("ok"))) == pid

    with_engine(play)


@pytest.mark.parametrize("text", ["nonsense", "confused"])
def test_a_worker_that_speaks_nonsense_is_replaced_and_everybody_answered(text: str) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        strange = asyncio.create_task(outcome_of(engine, text))
        await until_out(engine, 1)
        innocent = asyncio.create_task(outcome_of(engine, "good"))
        assert isinstance(await strange, PoisonError)
        assert companies_of(await innocent) == ["good"]
        assert pid_of(await engine.submit(job_of("ok"))) != pid
        await until(lambda: engine.state().arena_used_bytes == 0)

    with_engine(play, max_batch_images=1)


def test_a_seat_is_filled_again_though_bringing_home_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))

        def fail(*_: object) -> None:
            raise RuntimeError("a defect of ours")

        with monkeypatch.context() as patch:
            patch.setattr(engine._dispatcher, "bring_home", fail)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: engine.state().workers[0].pid not in (0, pid))
        await until(lambda: engine.unready_reason is None)
        assert pid_of(await engine.submit(job_of("ok"))) != pid

    with_engine(play)


def test_a_worker_whose_socket_has_ended_gets_nothing_more() -> None:
    async def play(engine: PoolEngine) -> None:
        dying = asyncio.create_task(outcome_of(engine, "linger 2"))
        await until(lambda: engine.unready_reason is not None)
        assert children() == [engine.state().workers[0].pid]  # the process is still there
        innocents = [asyncio.create_task(outcome_of(engine, f"good {n}")) for n in range(4)]
        for n, outcome in enumerate(await asyncio.gather(*innocents)):
            assert companies_of(outcome) == [f"good {n}"]
        assert engine._room._poison.may_know(len("linger 2"), time.monotonic())
        assert not engine._room._poison.may_know(len("good 0"), time.monotonic())
        assert isinstance(await dying, ServiceError)

    with_engine(play, max_batch_images=1)


def test_a_worker_that_fails_its_canary_is_not_believed_any_more(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"

    async def play(engine: PoolEngine) -> None:
        first = engine.state().workers[0].pid
        running = asyncio.create_task(outcome_of(engine, "slow 0.3"))
        await until_out(engine, 1)
        spoilt.touch()
        await engine._send_canaries()
        waiting = [asyncio.create_task(outcome_of(engine, text)) for text in ("a", "b")]
        assert pid_of(await running) == first  # it was answered before the canary
        await until(lambda: engine.state().workers[0].pid != first)
        spoilt.unlink()
        for outcome in await asyncio.gather(*waiting):
            assert pid_of(outcome) != first
            assert isinstance(outcome, Result)

    with_engine(play, "--bad-canary", str(spoilt), max_batch_images=1, restart_delay_s=0.5)


def test_what_nobody_waits_for_is_not_begun_by_the_worker_that_has_it() -> None:
    async def play(engine: PoolEngine) -> None:
        running = asyncio.create_task(outcome_of(engine, "slow 0.3"))
        second = asyncio.create_task(outcome_of(engine, "die"))
        await until_out(engine, 2)
        assert engine.state().queues[0].images == 0  # the worker has both
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        pid = pid_of(await running)
        assert pid_of(await outcome_of(engine, "ok")) == pid
        rendered = engine._metrics.render().decode()
        assert 'blendmask_dropped_total{reason="client_gone"} 1.0' in rendered

    with_engine(play, max_batch_images=1)


def test_a_stuck_batch_is_found_though_others_overtake_it() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        stuck = asyncio.create_task(outcome_of(engine, "stuck"))
        await until_out(engine, 1)
        while not stuck.done():
            await outcome_of(engine, "slow 0.1")
        assert isinstance(await stuck, ServiceError)
        assert pid_of(await engine.submit(job_of("ok"))) != pid

    with_engine(play, max_batch_images=1, hang_s=1.0)


def test_standing_still_together_is_no_hanging() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        running = asyncio.create_task(outcome_of(engine, "slow 0.3"))
        await until_out(engine, 1)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)  # the server stands still, too
        os.kill(pid, signal.SIGCONT)
        assert pid_of(await running) == pid

    with_engine(play, hang_s=1.5)


def test_a_lost_worker_is_told_with_503() -> None:
    async def play(engine: PoolEngine) -> None:
        outcome = await outcome_of(engine, "kill")
        assert isinstance(outcome, UnavailableError)

    with_engine(play)
