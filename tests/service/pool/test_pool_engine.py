"""The engine with real processes that have no network behind them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from pool_harness import (
    companies_of,
    job_of,
    outcome_of,
    pid_of,
    running,
    until_out,
    until_waiting,
    with_engine,
)
from service_fakes import INSTANCE_MODEL, until

from service.engine import LoadError, Result
from service.errors import (
    CostlyImageError,
    CrashedDecoderError,
    DeadlineError,
    InternalError,
    NotAnImageError,
    PoisonError,
    QueueFullError,
    ServiceError,
    TooLargeError,
    UnavailableError,
)
from service.pool.pool_engine import PoolEngine


def test_a_picture_is_answered_and_its_memory_given_back() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(job_of("ok"))
        assert companies_of(result) == ["ok"]
        assert set(result.seconds) == {"queue", "forward"}
        assert result.model == INSTANCE_MODEL
        await until(lambda: engine.state().arena_used_bytes == 0)

    with_engine(play)


def test_a_request_of_several_images_is_answered_in_order() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(job_of("a", "b", "c"))
        assert companies_of(result) == ["a,b,c"] * 3

    with_engine(play)


def test_what_waits_while_a_batch_runs_runs_together() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.3")) for _ in range(2)]
        await until_out(engine, 2)  # one runs, one is prepared
        waiting = [asyncio.create_task(outcome_of(engine, text)) for text in "abc"]
        await asyncio.gather(*running)
        companies = [companies_of(outcome) for outcome in await asyncio.gather(*waiting)]
        assert companies == [["a,b,c"]] * 3

    with_engine(play)


def test_a_cpu_runs_one_picture_at_a_time_unless_told_otherwise() -> None:
    async def play(engine: PoolEngine) -> None:
        result = await engine.submit(job_of("a", "b"))
        assert companies_of(result) == ["a", "b"]

    with_engine(play, max_batch_images=None)


def test_sizes_do_not_mix() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.2")) for _ in range(2)]
        await until_out(engine, 2)
        small = asyncio.create_task(outcome_of(engine, "a"))
        large = asyncio.create_task(outcome_of(engine, "b", size=(100, 1000)))
        await asyncio.gather(*running)
        assert companies_of(await small) == ["a"]
        assert companies_of(await large) == ["b"]

    with_engine(play)


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
        pid = pid_of(await engine.submit(job_of("ok")))
        error = await outcome_of(engine, text)
        assert isinstance(error, kind)
        assert mention in error.detail
        assert "secret" not in error.detail
        if kind is not TooLargeError:
            assert pid_of(await engine.submit(job_of("ok"))) == pid
        await until(lambda: engine.state().arena_used_bytes == 0)

    with_engine(play)


def test_one_bad_picture_fails_its_request_and_no_other() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.2")) for _ in range(2)]
        await until_out(engine, 2)
        bad = asyncio.create_task(outcome_of(engine, "ok", "refuse"))
        good = asyncio.create_task(outcome_of(engine, "good"))
        await asyncio.gather(*running)
        error = await bad
        assert isinstance(error, NotAnImageError)
        assert error.image == {"index": 1, "id": "1"}
        assert companies_of(await good) == ["ok,refuse,good"]

    with_engine(play)


def test_what_found_no_memory_is_remembered() -> None:
    async def play(engine: PoolEngine) -> None:
        await outcome_of(engine, "too_big")
        error = await outcome_of(engine, "ok")  # the fake says that one pixel was too much
        assert isinstance(error, TooLargeError)
        assert "320×240" in error.detail

    with_engine(play)


def test_a_size_that_was_computed_before_is_never_shut_out() -> None:
    async def play(engine: PoolEngine) -> None:
        await engine.submit(job_of("ok"))
        assert isinstance(await outcome_of(engine, "too_big"), TooLargeError)
        assert isinstance(await outcome_of(engine, "ok"), Result)

    with_engine(play)


def test_an_innocent_picture_survives_its_worker() -> None:
    async def play(engine: PoolEngine) -> None:
        running = asyncio.create_task(outcome_of(engine, "slow 0.5"))
        await until_out(engine, 1)
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        assert companies_of(await running) == ["slow 0.5"]
        assert engine.unready_reason is None

    with_engine(play)


def test_a_deadly_picture_is_tried_alone_and_then_refused() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.2")) for _ in range(2)]
        await until_out(engine, 2)
        deadly = asyncio.create_task(outcome_of(engine, "die"))
        innocent = asyncio.create_task(outcome_of(engine, "good"))
        await asyncio.gather(*running)
        assert companies_of(await innocent) == ["good"]  # it did run alone
        assert isinstance(await deadly, PoisonError)
        again = await outcome_of(engine, "die")
        assert isinstance(again, PoisonError)
        assert "image 0" in again.detail

    with_engine(play)


def test_popular_picture_is_not_refused_for_the_company_that_it_had() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.3")) for _ in range(4)]
        await until_out(engine, 4)
        deadly = [asyncio.create_task(outcome_of(engine, f"die {n}", "good")) for n in range(4)]
        good = [asyncio.create_task(outcome_of(engine, "good")) for _ in range(4)]
        await asyncio.gather(*running)
        for outcome in await asyncio.gather(*deadly):
            assert isinstance(outcome, ServiceError)
        for outcome in await asyncio.gather(*good):
            assert not isinstance(outcome, PoisonError)
        assert companies_of(await outcome_of(engine, "good")) == ["good"]

    with_engine(play, devices=("cuda:0", "cuda:1"), max_batch_images=4)


def test_two_kills_from_outside_are_answered_with_503() -> None:
    async def play(engine: PoolEngine) -> None:
        error = await outcome_of(engine, "kill")
        assert isinstance(error, UnavailableError)
        assert error.retry_after_s == 1

    with_engine(play)


def test_a_hanging_worker_is_replaced() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        assert isinstance(await outcome_of(engine, "hang"), PoisonError)
        assert pid_of(await engine.submit(job_of("ok"))) != pid

    with_engine(play)


@pytest.mark.parametrize(("text", "kind"), [("freeze", UnavailableError), ("fatal", PoisonError)])
def test_a_silent_worker_and_a_broken_device_are_replaced(
    text: str, kind: type[ServiceError]
) -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        assert isinstance(await outcome_of(engine, text), kind)
        assert pid_of(await engine.submit(job_of("ok"))) != pid

    with_engine(play, hang_s=30)


def test_copies_of_one_picture_are_one_suspect() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.5")) for _ in range(4)]
        await until_out(engine, 2)
        os.kill(engine.state().workers[0].pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    with_engine(play)


def test_a_failed_canary_costs_the_worker_its_place() -> None:
    async def play(engine: PoolEngine) -> None:
        first = engine.state().workers[0].pid
        await until(lambda: engine.state().workers[0].pid not in (0, first))

    with_engine(play, "--bad-canary", __file__, canary_every_s=0.1)


def test_a_full_queue_refuses_at_once() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.3")) for _ in range(4)]
        await until_waiting(engine, 2)  # two are at the worker
        error = await outcome_of(engine, "one too many")
        assert isinstance(error, QueueFullError)
        assert error.retry_after_s is not None
        assert error.retry_after_s >= 1
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    with_engine(play, max_waiting_images=2, max_images=2, max_batch_images=1)


def test_full_memory_refuses_at_once() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.3" + " " * 400_000))] * 2
        await until_out(engine, 1)
        large = [asyncio.create_task(outcome_of(engine, "x" * 400_000)) for _ in range(3)]
        outcomes = await asyncio.gather(*large)
        assert any(isinstance(outcome, QueueFullError) for outcome in outcomes)
        await asyncio.gather(*running)
        await until(lambda: engine.state().arena_used_bytes == 0)

    with_engine(play)


def test_a_caller_who_leaves_takes_his_waiting_pictures_along() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.2")) for _ in range(2)]
        await until_out(engine, 2)
        leaving = asyncio.create_task(outcome_of(engine, "die"))
        await until_waiting(engine, 1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert engine.state().queues[0].images == 0
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    with_engine(play)


def test_what_cannot_be_done_in_time_is_not_begun() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 0.4")) for _ in range(2)]
        await until_out(engine, 2)
        assert isinstance(await outcome_of(engine, "die", allowed_s=0.2), DeadlineError)
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, Result)

    with_engine(play)


def test_two_devices_share_the_work() -> None:
    async def play(engine: PoolEngine) -> None:
        outcomes = await asyncio.gather(*(outcome_of(engine, "slow 0.2") for _ in range(4)))
        assert len({pid_of(outcome) for outcome in outcomes}) == 2

    with_engine(play, devices=("cuda:0", "cuda:1"), max_batch_images=1)


def test_a_worker_that_cannot_load_ends_the_start_with_its_words() -> None:
    async def run() -> None:
        async with running("--fail-load", "no such weights"):
            pass

    with pytest.raises(LoadError, match="no such weights"):
        asyncio.run(run())


def test_a_worker_that_dies_while_it_loads_is_not_tried_for_ever() -> None:
    async def run() -> None:
        async with running("--die-loading", "yes"):
            pass

    with pytest.raises(LoadError, match=r"cpu ended 3 times while it loaded \(exit code 1\)"):
        asyncio.run(run())


def test_stopping_answers_everybody() -> None:
    async def play(engine: PoolEngine) -> None:
        running = [asyncio.create_task(outcome_of(engine, "slow 5")) for _ in range(5)]
        await until_waiting(engine, 3)
        engine.stop()
        for outcome in await asyncio.gather(*running):
            assert isinstance(outcome, UnavailableError)
        assert isinstance(await outcome_of(engine, "ok"), UnavailableError)

    with_engine(play)


def test_draining_is_unready_and_goes_on() -> None:
    async def play(engine: PoolEngine) -> None:
        engine.drain()
        assert engine.unready_reason == "the server is draining before it stops"
        assert companies_of(await engine.submit(job_of("ok"))) == ["ok"]

    with_engine(play)


def test_drawing_keeps_no_device_and_nobody_else_waiting() -> None:
    async def play(engine: PoolEngine) -> None:
        drawn = [
            asyncio.create_task(outcome_of(engine, "draw 1.5", masks="polygon")) for _ in range(6)
        ]
        await until_waiting(engine, 2)  # four are drawn at a time
        for n in range(5):
            assert companies_of(await outcome_of(engine, f"quick {n}")) == [f"quick {n}"]
        assert engine.state().queues[0].images == 2
        assert not any(task.done() for task in drawn)
        for outcome in await asyncio.gather(*drawn):
            assert companies_of(outcome) == ["draw 1.5"]

    with_engine(play, max_batch_images=1, hang_s=1.0)


def test_costly_pictures_keep_nobody_waiting_and_teach_nothing(tmp_path: Path) -> None:
    async def play(engine: PoolEngine) -> None:
        expected_s = engine._room.expected_s(INSTANCE_MODEL.name, 1_000_000)
        release = tmp_path / "release"
        costly = [asyncio.create_task(outcome_of(engine, f"aside {release}")) for _ in range(6)]
        await until_out(engine, 6)
        out = engine._dispatcher._out.values()
        await until(lambda: not any(link.sent.running for _, link in out))
        assert engine._room.expected_s(INSTANCE_MODEL.name, 1_000_000) == expected_s
        assert companies_of(await outcome_of(engine, "quick")) == ["quick"]
        assert not any(task.done() for task in costly)
        release.touch()
        for outcome in await asyncio.gather(*costly):
            assert isinstance(outcome, CostlyImageError)
        labels = {"reason": "costly_image"}
        counted = engine._metrics._registry.get_sample_value("blendmask_refused_total", labels)
        assert counted == 6

    with_engine(play, max_batch_images=1)


def test_crash_of_a_decoder_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def play(engine: PoolEngine) -> None:
        outcome = await outcome_of(engine, "crash")
        assert isinstance(outcome, CrashedDecoderError)
        assert outcome.detail == "image 0 ('0'): damaged."
        labels = {"reason": "crashed_decoder"}
        counted = engine._metrics._registry.get_sample_value("blendmask_refused_total", labels)
        assert counted == 1

    with_engine(play)
    (record,) = (r for r in caplog.records if r.message == "a decoder crashed over a picture")
    assert record.__dict__["request_id"]


def test_worker_without_room_for_a_picture_is_told_as_a_full_queue() -> None:
    async def play(engine: PoolEngine) -> None:
        outcome = await outcome_of(engine, "crowded", "crowded")
        assert isinstance(outcome, QueueFullError)
        assert (outcome.detail, outcome.retry_after_s) == ("image 0 ('0'): later.", 8)
        await until_out(engine, 0)
        labels = {"reason": "queue_full"}
        counted = engine._metrics._registry.get_sample_value("blendmask_refused_total", labels)
        assert counted == 1

    with_engine(play)


def test_a_drawing_without_end_is_found_when_nobody_can_wait_for_it_any_more() -> None:
    async def play(engine: PoolEngine) -> None:
        pid = pid_of(await engine.submit(job_of("ok")))
        endless = outcome_of(engine, "draw", masks="polygon", allowed_s=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(endless, 1)
        await until(lambda: engine.state().workers[0].pid not in (0, pid))

    with_engine(play, max_batch_images=1, hang_s=1.0)
