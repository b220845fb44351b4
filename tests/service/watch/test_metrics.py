from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from service_fakes import INSTANCE_MODEL, FakeEngine, app_of, call

from service.app import create_app
from service.configuration.settings import Settings
from service.engine_state import EngineState, QueueState, WorkerState
from service.watch.metrics import Metrics

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
STATE = EngineState(
    queues=(
        QueueState(
            model="R_50_3x",
            images=3,
            pixels=600,
            bytes=70,
            oldest_seconds=0.5,
            expected_seconds=2.0,
        ),
    ),
    workers=(
        WorkerState(device="cuda:0", up=True, device_bytes=9000, rss_bytes=800, pid=7),
        WorkerState(device="cuda:1", up=False, device_bytes=0, rss_bytes=0, pid=0),
    ),
    models=(INSTANCE_MODEL,),
    arena_bytes=1024,
    arena_used_bytes=70,
)


def text(metrics: Metrics) -> str:
    return metrics.render().decode()


def used_metrics() -> Metrics:
    """Metrics with a value in every series."""
    metrics = Metrics()
    metrics.watch(lambda: STATE)
    metrics.observe(method="GET", route="/models", code=200, seconds=0.1, stages={"read": 0.01})
    metrics.batch(
        model="m", device="cpu", num_images=3, fill=0.75, padded_pixels=3_000_000, seconds=0.2
    )
    metrics.picture(model="m", task="segment", num_instances=7)
    metrics.refused("queue_full")
    metrics.dropped("deadline")
    metrics.retried()
    metrics.worker_restarted(device="cpu", reason="died")
    metrics.loop_lag(0.002)
    return metrics


def test_batch_is_told_in_images_fill_pixels_and_seconds() -> None:
    labels = '{device="cpu",model="m"}'
    lines = text(used_metrics()).splitlines()
    assert f"blendmask_batch_images_sum{labels} 3.0" in lines
    assert f"blendmask_batch_fill_ratio_sum{labels} 0.75" in lines
    assert f"blendmask_batch_padded_pixels_sum{labels} 3e+06" in lines
    assert f"blendmask_batch_seconds_sum{labels} 0.2" in lines


def test_answered_image_is_told_with_its_instances() -> None:
    labels = '{model="m",task="segment"}'
    lines = text(used_metrics()).splitlines()
    assert f"blendmask_images_total{labels} 1.0" in lines
    assert f"blendmask_image_instances_sum{labels} 7.0" in lines


def test_mishaps_are_told_with_their_reason() -> None:
    lines = text(used_metrics()).splitlines()
    assert 'blendmask_refused_total{reason="queue_full"} 1.0' in lines
    assert 'blendmask_dropped_total{reason="deadline"} 1.0' in lines
    assert "blendmask_retried_total 1.0" in lines
    assert 'blendmask_worker_restarts_total{device="cpu",reason="died"} 1.0' in lines


def test_mishaps_are_counted_from_zero_before_the_first() -> None:
    metrics = Metrics()
    metrics.expect_workers(["cuda:1"])
    lines = text(metrics).splitlines()
    assert 'blendmask_refused_total{reason="queue_full"} 0.0' in lines
    assert 'blendmask_dropped_total{reason="deadline"} 0.0' in lines
    assert 'blendmask_worker_restarts_total{device="cuda:1",reason="died"} 0.0' in lines


def test_text_of_an_error_is_no_reason_of_its_own() -> None:
    metrics = Metrics()
    metrics.worker_restarted(device="cpu", reason="cannot be started: No such file")
    assert 'restarts_total{device="cpu",reason="other"} 1.0' in text(metrics)


def test_engine_is_asked_at_each_rendering() -> None:
    metrics, used_bytes = Metrics(), [70]
    metrics.watch(
        lambda: EngineState(
            queues=(), workers=(), models=(), arena_bytes=1024, arena_used_bytes=used_bytes[0]
        )
    )
    assert "blendmask_arena_used_bytes 70.0" in text(metrics)
    used_bytes[0] = 0
    assert "blendmask_arena_used_bytes 0.0" in text(metrics)


def test_state_of_queues_workers_and_models_is_told() -> None:
    lines = text(used_metrics()).splitlines()
    assert 'blendmask_queue_images{model="R_50_3x"} 3.0' in lines
    assert 'blendmask_queue_pixels{model="R_50_3x"} 600.0' in lines
    assert 'blendmask_queue_bytes{model="R_50_3x"} 70.0' in lines
    assert 'blendmask_queue_oldest_seconds{model="R_50_3x"} 0.5' in lines
    assert 'blendmask_queue_expected_seconds{model="R_50_3x"} 2.0' in lines
    assert 'blendmask_worker_up{device="cuda:0"} 1.0' in lines
    assert 'blendmask_worker_up{device="cuda:1"} 0.0' in lines
    assert 'blendmask_worker_device_memory_bytes{device="cuda:0"} 9000.0' in lines
    assert 'blendmask_worker_resident_memory_bytes{device="cuda:0"} 800.0' in lines
    info = (
        'blendmask_model_info{configuration="R_50_3x",device="cpu",name="R_50_3x",'
        f'precision="float32",sha256="{"ab" * 32}"}} 1.0'
    )
    assert info in lines


@pytest.mark.parametrize(("reason", "value"), [(None, "1.0"), ("draining", "0.0")])
def test_readiness_is_told_as_readyz_says_it(reason: str | None, value: str) -> None:
    app = app_of(FakeEngine(unready_reason=reason))
    assert f"blendmask_ready {value}" in call(app, "GET", "/metrics").text.splitlines()


def test_open_connections_are_told() -> None:
    metrics = Metrics()
    metrics.watch_connections(lambda: 12)
    assert "blendmask_open_connections 12.0" in text(metrics).splitlines()


def test_request_is_in_flight_until_it_ends() -> None:
    metrics = Metrics()
    with metrics.in_flight(), metrics.in_flight():
        assert "blendmask_requests_in_flight 2.0" in text(metrics)
    assert "blendmask_requests_in_flight 0.0" in text(metrics)


def test_probes_are_not_in_flight() -> None:
    # Or the gauge would count whoever reads it.
    assert "blendmask_requests_in_flight 0.0" in call(app_of(), "GET", "/metrics").text


def test_application_counts_where_its_engine_does() -> None:
    metrics = Metrics()
    metrics.refused("queue_full")
    app = create_app(Settings(), FakeEngine(), metrics)
    assert 'refused_total{reason="queue_full"} 1.0' in call(app, "GET", "/metrics").text


def test_no_series_of_creation_times_is_told() -> None:
    assert "_created" not in text(used_metrics())


def test_process_tells_its_memory_and_time() -> None:
    lines = text(Metrics())
    assert re.search(r"^process_resident_memory_bytes [1-9]", lines, re.MULTILINE)
    assert re.search(r"^process_cpu_seconds_total [0-9]", lines, re.MULTILINE)


def test_lag_of_the_loop_is_sampled_while_the_application_lives() -> None:
    metrics = Metrics()

    async def run() -> None:
        app = create_app(Settings(), FakeEngine(), metrics)
        before = len(asyncio.all_tasks())
        async with app.router.lifespan_context(app):
            assert len(asyncio.all_tasks()) == before + 1
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before

    asyncio.run(run())


def told(families: Iterable[Metric]) -> dict[str, tuple[str, str, str]]:
    """Name -> type, labels, meaning; as a reader of /metrics meets them."""
    found = {}
    for family in families:
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        kind = "gauge" if family.type == "info" else family.type
        found[family.name + suffix] = (kind, ", ".join(sorted(labels)), family.documentation)
    return found


def page_rows() -> list[list[str]]:
    lines = PAGE.read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0].startswith(("`blendmask_", "`process_"))]


def test_page_lists_every_metric() -> None:
    stated = {
        name.strip("`"): (kind, labels.replace("`", ""), meaning)
        for name, kind, _, labels, meaning in page_rows()
    }
    found = told(used_metrics().families())
    for name, (kind, labels, _) in found.items():
        if name.startswith("process_"):  # described by the library, in its own words
            found[name] = (kind, labels, stated[name][2])
    assert stated == found


def test_page_states_the_unit_that_the_name_has() -> None:
    units = ("seconds", "bytes", "pixels", "images", "instances", "ratio")
    for name, _, unit, _, _ in page_rows():
        named = name.strip("`").removesuffix("_total").rpartition("_")[2]
        if named in units:
            assert unit == named, name
