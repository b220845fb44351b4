from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest
from service_fakes import INSTANCE_MODEL, task_of

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from collected_spans import Collected

from service.configuration.settings import Settings
from service.engine import Job, Picture
from service.pool.opening import open_engine
from service.watch.metrics import Metrics

_WORKER = [sys.executable, str(Path(__file__).parents[1] / "fake_worker.py")]


def _job(text: str, traceparent: str | None) -> Job:
    return Job(
        asked=task_of(),
        model=INSTANCE_MODEL.name,
        pictures=(Picture(data=text.encode(), height=240, width=320),),
        deadline=time.monotonic() + 30,
        request_id="test",
        traceparent=traceparent,
    )


def _run(collected: Collected, traceparent: str | None) -> None:
    async def run() -> None:
        settings = Settings(
            devices=("cpu",), max_waiting_bytes=2**20, max_body_bytes=2**20, canary_every_s=0
        )
        engine = open_engine(settings, Metrics(), _WORKER, collected.tracing)
        engine.start()
        try:
            await engine.wait_until_loaded()
            await engine.submit(_job("a", traceparent))
            while "batch" not in collected.spans and traceparent is not None:
                await asyncio.sleep(0.01)  # the worker says "done" after the answer
        finally:
            engine.stop()
            await engine.wait_stopped()

    asyncio.run(run())


def test_worker_stages_are_spans_from_http_to_the_device() -> None:
    collected = Collected()
    context, request = collected.begin_request()
    _run(collected, context.traceparent)
    request.end(route="/segment", code=200)
    spans = collected.spans
    assert {"queue", "forward", "batch"} <= set(spans)
    assert spans["forward"].parent is not None
    assert spans["forward"].parent.span_id == spans["POST /segment"].get_span_context().span_id
    assert [link.context for link in spans["forward"].links] == [spans["batch"].get_span_context()]


def test_request_without_a_trace_leaves_no_span_of_its_batch() -> None:
    collected = Collected()
    _run(collected, None)
    assert not collected.spans
