"""Weights that change under requests: by a reload, or when a worker is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pool_harness import (
    children,
    companies_of,
    job_of,
    outcome_of,
    pid_of,
    until_half_answered,
    until_out,
    until_waiting,
    with_engine,
)
from service_fakes import until

from service.engine import Job, LoadError, Result
from service.errors import UnavailableError
from service.pool.pool_engine import PoolEngine

_TWO = ("cuda:0", "cuda:1")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that the fake worker takes for weights; its text is their digest."""
    path = tmp_path / "weights"
    path.write_text("old")
    return path


def test_a_reload_loses_nothing_and_changes_the_worker() -> None:
    async def play(engine: PoolEngine) -> None:
        before = engine.state().workers[0].pid
        running = [asyncio.create_task(outcome_of(engine, "slow 0.1")) for _ in range(20)]
        await engine.reload()
        after = pid_of(await engine.submit(job_of("ok")))
        assert after != before
        pids = {pid_of(outcome) for outcome in await asyncio.gather(*running)}
        assert pids <= {before, after}
        assert engine.unready_reason is None
        await until(lambda: children() == [after])

    with_engine(play, max_batch_images=1)


def test_a_request_that_was_begun_is_finished_by_the_weights_that_began_it(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        begun = asyncio.create_task(outcome_of(engine, *["edition 0.2"] * 5))
        await until_out(engine, 2)
        weights.write_text("new")
        await engine.reload()
        outcome = await begun
        assert companies_of(outcome) == ["old"] * 5
        assert isinstance(outcome, Result)
        assert outcome.model.sha256 == "old"
        assert companies_of(await outcome_of(engine, "edition")) == ["new"]

    with_engine(play, weights=str(weights), max_batch_images=1)


def test_an_old_worker_that_dies_leaves_its_pictures_to_the_other_old_one(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        pids = [worker.pid for worker in engine.state().workers]
        begun = asyncio.create_task(outcome_of(engine, "edition 1", "edition 1.1", "edition 0.1"))
        await until_out(engine, 3)
        weights.write_text("new")
        await engine.reload()
        os.kill(pids[0], signal.SIGKILL)
        assert companies_of(await begun) == ["old"] * 3
        await until(lambda: not set(pids) & set(children()))

    with_engine(play, weights=str(weights), devices=_TWO, max_batch_images=1, hang_s=30)


def test_the_last_old_worker_takes_half_answered_requests_with_it(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = engine.state().workers[0].pid
        begun = asyncio.create_task(outcome_of(engine, "ok", "edition 20"))
        whole = asyncio.create_task(outcome_of(engine, "edition"))
        await until_half_answered(engine)
        weights.write_text("new")
        await engine.reload()
        os.kill(pid, signal.SIGKILL)
        assert isinstance(await begun, UnavailableError)
        assert companies_of(await whole) == ["new"]

    with_engine(play, weights=str(weights), max_batch_images=1, hang_s=30)


def test_a_replaced_worker_that_finds_other_weights_mixes_nothing(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        begun = asyncio.create_task(outcome_of(engine, "ok", "edition 20"))
        await until_half_answered(engine)
        weights.write_text("new")
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        assert isinstance(await begun, UnavailableError)
        outcome = await outcome_of(engine, "edition")
        assert companies_of(outcome) == ["new"]
        assert isinstance(outcome, Result)
        assert outcome.model.sha256 == "new"
        assert [model.sha256 for model in engine.models] == ["new"]

    with_engine(play, weights=str(weights), max_batch_images=1, hang_s=30)


@pytest.fixture
def over(tmp_path: Path) -> Path:
    """A file: when it is there, what a request waits behind is over."""
    return tmp_path / "over"


@asynccontextmanager
async def waiting_behind_others(
    engine: PoolEngine, job: Job, over: Path
) -> AsyncIterator[asyncio.Task[Result]]:
    """Give a request that has not been begun, as the worker has all that it may have."""
    busy = [asyncio.create_task(outcome_of(engine, f"until {over}")) for _ in range(2)]
    await until_out(engine, 2)
    waiting = asyncio.create_task(engine.submit(job))
    await until_waiting(engine, 1)
    yield waiting
    over.touch()
    await asyncio.gather(*busy)


def test_what_waits_goes_to_the_new_weights(weights: Path, over: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        async with waiting_behind_others(engine, job_of("edition"), over) as waiting:
            weights.write_text("new")
            await engine.reload()
            assert companies_of(await waiting) == ["new"]

    with_engine(play, weights=str(weights), max_batch_images=1, hang_s=30)


def test_what_was_asked_of_other_classes_stays_with_the_weights_that_have_them(
    weights: Path, over: Path
) -> None:
    async def play(engine: PoolEngine) -> None:
        wants_a_class = job_of("edition", category_ids=frozenset({1}))
        async with waiting_behind_others(engine, wants_a_class, over) as waiting:
            weights.write_text("new, other classes")
            await engine.reload()
            over.touch()
            assert companies_of(await waiting) == ["old"]

    with_engine(play, weights=str(weights), max_batch_images=1, hang_s=30)


def test_a_model_that_a_reload_takes_away_finishes_what_waits_for_it(
    tmp_path: Path, over: Path
) -> None:
    gone = tmp_path / "renamed"

    async def play(engine: PoolEngine) -> None:
        async with waiting_behind_others(engine, job_of("ok"), over) as waiting:
            gone.touch()
            await engine.reload()
            over.touch()
            assert [model.name for model in engine.models] == ["another name"]
            assert companies_of(await waiting) == ["ok"]

    with_engine(play, "--renamed", str(gone), max_batch_images=1, hang_s=30)


def test_a_reload_during_a_pause_leaves_no_worker_that_nobody_knows(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        await until(lambda: engine.state().workers[0].pid == 0)
        await engine.reload()
        await until(lambda: len(engine._keeping.tasks) == 1)  # its seat is given up
        assert children() == [engine.state().workers[0].pid]

    with_engine(play, weights=str(weights), restart_delay_s=1.0)


def test_a_worker_that_does_not_stop_when_told_to_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.pool.hang_watch.EXIT_S", 0.5)

    async def play(engine: PoolEngine) -> None:
        await engine.reload()
        await until(lambda: children() == [engine.state().workers[0].pid])

    with_engine(play, "--deaf", "yes")


def test_draining_gives_up_a_reload_under_way(weights: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        weights.write_text("slow")  # which never load
        reload = asyncio.create_task(engine.reload())
        await until(lambda: len(children()) == 2)
        engine.drain()
        with pytest.raises(LoadError, match="draining"):
            await reload
        assert companies_of(await outcome_of(engine, "edition")) == ["old"]
        with pytest.raises(LoadError, match="draining"):
            await engine.reload()

    with_engine(play, weights=str(weights))
