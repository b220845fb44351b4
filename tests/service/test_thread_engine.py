from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from service_fakes import INSTANCE_MODEL, until

from service.engine import Job, LoadError, Picture, PictureAnswer
from service.errors import NotAnImageError, QueueFullError, UnavailableError
from service.thread_engine import PictureWorker, ThreadEngine


class GatedWorker:
    """Answers a picture with its own bytes, once `gate` is open; the bytes b"bad" are at fault,
    b"defect" are our own.
    """

    model = INSTANCE_MODEL

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started: list[bytes] = []
        self.threads: set[int] = set()

    def warm_up(self) -> None:
        pass

    def run(self, job: Job, picture: Picture) -> PictureAnswer:
        self.threads.add(threading.get_ident())
        self.started.append(picture.data)
        assert self.gate.wait(30)
        if picture.data == b"bad":
            raise NotAnImageError("it is bad")
        if picture.data == b"defect":
            raise RuntimeError("ours")
        return PictureAnswer(body=picture.data, seconds={"forward": 0.5})


def job_of(*pictures: bytes) -> Job:
    return Job(
        task="segment",
        model="R_50_3x",
        pictures=tuple(Picture(data=data, id=data.decode()) for data in pictures),
        score_threshold=0.3,
        max_instances=100,
        category_ids=None,
        masks="rle",
        picture_type=None,
        deadline=1e9,
        request_id="r",
    )


@asynccontextmanager
async def running(
    load: Callable[[], PictureWorker], *, images: int = 4, num_bytes: int = 1000
) -> AsyncIterator[ThreadEngine]:
    engine = ThreadEngine(load, max_waiting_images=images, max_waiting_bytes=num_bytes)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        assert await asyncio.to_thread(engine.join, 30)


def check(
    scenario: Callable[[ThreadEngine, GatedWorker], Awaitable[None]], images: int = 4
) -> None:
    async def run() -> None:
        worker = GatedWorker()
        async with running(lambda: worker, images=images) as engine:
            await engine.wait_until_loaded()
            try:
                await scenario(engine, worker)
            finally:
                worker.gate.set()

    asyncio.run(run())


def test_answers_come_in_order_with_the_seconds_summed() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        result = await engine.submit(job_of(b"a", b"b"))
        assert result.bodies == (b"a", b"b")
        assert result.seconds["forward"] == 1.0
        assert result.seconds["queue"] >= 0

    check(scenario)


def test_all_jobs_run_in_one_thread_that_is_not_the_loops() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        await asyncio.gather(*(engine.submit(job_of(b"a")) for _ in range(4)))
        assert len(worker.threads) == 1
        assert threading.get_ident() not in worker.threads

    check(scenario)


def test_bad_picture_is_named_and_the_next_job_runs() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        with pytest.raises(NotAnImageError) as refusal:
            await engine.submit(job_of(b"a", b"bad", b"c"))
        assert refusal.value.image == {"index": 1, "id": "bad"}
        assert worker.started == [b"a", b"bad"]
        assert (await engine.submit(job_of(b"d"))).bodies == (b"d",)

    check(scenario)


def test_defect_is_told_to_the_waiter_and_the_next_job_runs() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        with pytest.raises(RuntimeError, match="ours"):
            await engine.submit(job_of(b"defect"))
        assert (await engine.submit(job_of(b"d"))).bodies == (b"d",)

    check(scenario)


def test_full_queue_refuses_and_takes_again_when_drained() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        worker.gate.clear()
        running_job = asyncio.create_task(engine.submit(job_of(b"run")))
        await until(lambda: worker.started == [b"run"])
        waiting = asyncio.create_task(engine.submit(job_of(b"a", b"b")))
        await asyncio.sleep(0)

        with pytest.raises(QueueFullError, match="2 images are waiting"):
            await engine.submit(job_of(b"c"))

        worker.gate.set()
        await asyncio.gather(running_job, waiting)
        assert (await engine.submit(job_of(b"c"))).bodies == (b"c",)

    check(scenario, images=2)


@pytest.mark.parametrize(("mean_s", "expected"), [(0.001, 1), (0.4, 2), (1.5, 5), (10.0, 30)])
def test_retry_after_is_the_time_that_the_waiting_images_take(mean_s: float, expected: int) -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        worker.gate.clear()
        first = asyncio.create_task(engine.submit(job_of(b"run")))
        await until(lambda: worker.started == [b"run"])
        second = asyncio.create_task(engine.submit(job_of(b"a", b"b", b"c")))
        await asyncio.sleep(0)
        engine._mean_s = mean_s
        with pytest.raises(QueueFullError) as refusal:
            await engine.submit(job_of(b"d"))
        assert refusal.value.retry_after_s == expected
        worker.gate.set()
        await asyncio.gather(first, second)

    check(scenario, images=3)


def test_waiting_bytes_are_bounded_too() -> None:
    async def run() -> None:
        worker = GatedWorker()
        worker.gate.clear()
        async with running(lambda: worker, num_bytes=10) as engine:
            await engine.wait_until_loaded()
            first = asyncio.create_task(engine.submit(job_of(b"run")))
            await until(lambda: bool(worker.started))
            second = asyncio.create_task(engine.submit(job_of(b"123456")))
            await asyncio.sleep(0)
            with pytest.raises(QueueFullError):
                await engine.submit(job_of(b"12345"))
            worker.gate.set()
            await asyncio.gather(first, second)

    asyncio.run(run())


def test_job_cancelled_before_its_start_never_runs_and_frees_its_place() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        worker.gate.clear()
        first = asyncio.create_task(engine.submit(job_of(b"run")))
        await until(lambda: worker.started == [b"run"])
        gone = asyncio.create_task(engine.submit(job_of(b"gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        third = asyncio.create_task(engine.submit(job_of(b"third")))
        await asyncio.sleep(0)

        worker.gate.set()
        await asyncio.gather(first, third)
        assert worker.started == [b"run", b"third"]

    check(scenario, images=1)


def test_job_cancelled_while_it_runs_starts_no_further_picture() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        worker.gate.clear()
        gone = asyncio.create_task(engine.submit(job_of(b"a", b"b")))
        await until(lambda: worker.started == [b"a"])
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        worker.gate.set()
        await engine.submit(job_of(b"c"))
        assert worker.started == [b"a", b"c"]

    check(scenario)


def test_stop_tells_those_who_wait_and_answers_the_one_that_runs() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        worker.gate.clear()
        first = asyncio.create_task(engine.submit(job_of(b"run")))
        await until(lambda: worker.started == [b"run"])
        second = asyncio.create_task(engine.submit(job_of(b"waits")))
        await asyncio.sleep(0)
        engine.stop()
        with pytest.raises(UnavailableError):
            await second
        with pytest.raises(UnavailableError):
            await engine.submit(job_of(b"late"))
        worker.gate.set()
        assert (await first).bodies == (b"run",)

    check(scenario)


def test_draining_engine_is_unready_but_takes_jobs() -> None:
    async def scenario(engine: ThreadEngine, worker: GatedWorker) -> None:
        assert engine.unready_reason is None
        engine.drain()
        assert "draining" in (engine.unready_reason or "")
        assert (await engine.submit(job_of(b"a"))).bodies == (b"a",)

    check(scenario)


def test_loading_engine_has_no_models_and_refuses_jobs() -> None:
    async def run() -> None:
        may_load = threading.Event()

        def load() -> PictureWorker:
            assert may_load.wait(30)
            return GatedWorker()

        async with running(load) as engine:
            assert not engine.models
            assert "loading" in (engine.unready_reason or "")
            with pytest.raises(UnavailableError, match="loading"):
                await engine.submit(job_of(b"a"))
            may_load.set()
            await engine.wait_until_loaded()
            assert list(engine.models) == [INSTANCE_MODEL]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no file x;\n give another"), "no file x; give another"),
        (MemoryError("too big"), "MemoryError: too big"),
    ],
)
def test_failed_load_is_told_on_one_line(error: Exception, expected: str) -> None:
    async def run() -> None:
        def load() -> PictureWorker:
            raise error

        async with running(load) as engine:
            with pytest.raises(LoadError) as failure:
                await engine.wait_until_loaded()
            assert str(failure.value) == expected
            assert engine.unready_reason is not None

    asyncio.run(run())
