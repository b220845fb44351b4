"""Metrics that are asked for at each rendering instead of being counted: how the engine stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from service.engine import ModelInfo
from service.engine_state import EngineState, QueueState, WorkerState

_EMPTY = EngineState(queues=(), workers=(), models=(), arena_bytes=0, arena_used_bytes=0)

_OF_QUEUE: tuple[tuple[str, str, Callable[[QueueState], float]], ...] = (
    ("images", "Images that wait.", lambda queue: queue.images),
    ("pixels", "Pixels of the images that wait, as sent.", lambda queue: queue.pixels),
    ("bytes", "Encoded bytes of the images that wait.", lambda queue: queue.bytes),
    ("oldest_seconds", "How long the first in line waits.", lambda queue: queue.oldest_seconds),
    (
        "expected_seconds",
        "Until all that wait now should be done.",
        lambda queue: queue.expected_seconds,
    ),
)
_OF_WORKER: tuple[tuple[str, str, Callable[[WorkerState], float]], ...] = (
    ("up", "1 while the worker takes batches, else 0.", lambda worker: float(worker.up)),
    (
        "device_memory_bytes",
        "Memory that the worker holds on its device.",
        lambda worker: worker.device_bytes,
    ),
    (
        "resident_memory_bytes",
        "Resident memory of the worker's process.",
        lambda worker: worker.rss_bytes,
    ),
)


class StateCollector(Collector):
    """Tells Prometheus what the three callables say at that moment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.engine: Callable[[], EngineState] = lambda: _EMPTY
        self.unready_reason: Callable[[], str | None] = lambda: "nothing is loaded"
        self.num_connections: Callable[[], int] = lambda: 0
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Return no names, so that registering asks nothing of the callables."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        state = self.engine()
        is_ready = self.unready_reason() is None
        yield _gauge(
            "ready", "1 while new traffic should come, as /readyz says, else 0.", float(is_ready)
        )
        yield _gauge(
            "open_connections", "Connections that clients hold open.", self.num_connections()
        )
        yield _gauge("arena_bytes", "Shared memory for the pictures that wait.", state.arena_bytes)
        yield _gauge(
            "arena_used_bytes", "Shared memory that pictures hold.", state.arena_used_bytes
        )
        yield from _queues(state.queues)
        yield from _workers(state.workers)
        yield _models(state.models)


def _queues(queues: tuple[QueueState, ...]) -> Iterator[Metric]:
    for name, text, value_of in _OF_QUEUE:
        family = GaugeMetricFamily(f"blendmask_queue_{name}", text, labels=("model",))
        for queue in queues:
            family.add_metric((queue.model,), value_of(queue))
        yield family


def _workers(workers: tuple[WorkerState, ...]) -> Iterator[Metric]:
    for name, text, value_of in _OF_WORKER:
        family = GaugeMetricFamily(f"blendmask_worker_{name}", text, labels=("device",))
        for worker in workers:
            family.add_metric((worker.device,), value_of(worker))
        yield family


def _models(models: tuple[ModelInfo, ...]) -> Metric:
    family = InfoMetricFamily("blendmask_model", "The loaded models; always 1.")
    for model in models:
        labels = {
            "name": model.name,
            "sha256": model.sha256,
            "configuration": model.config.name,
            "device": model.device,
            "precision": model.precision,
        }
        family.add_metric((), labels)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"blendmask_{name}", text, value=value)
