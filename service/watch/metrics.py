"""What /metrics tells: requests, batches, refusals, and how the engine stands.

docs/metrics.md lists every metric. Units are Prometheus' base units; the values of labels come
from the server's own code and settings, never from a caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.engine_state import EngineState
from service.watch.metrics_state import StateCollector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_PIXELS = (250e3, 500e3, 1e6, 2e6, 4e6, 8e6, 12e6, 16e6, 32e6)
_BATCH_IMAGES = (1, 2, 4, 8, 16, 32)
_INSTANCES = (0, 1, 2, 5, 10, 20, 50, 100)
_RESTART_REASONS = ("died", "hung", "silent", "fatal", "canary", "reload")
_REFUSAL_REASONS = ("queue_full", "too_large", "poisonous_image", "costly_image", "crashed_decoder")
_DROP_REASONS = ("client_gone", "deadline")


class Metrics:
    """The numbers of one server, in a registry of their own. Belongs to the event loop."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._state = StateCollector(self._registry)
        ProcessCollector(registry=self._registry)
        self._add_requests()
        self._add_batches()
        self._add_mishaps()

    def _add_requests(self) -> None:
        self._requests = self._counter(
            "blendmask_requests_total",
            "Requests answered; code 499: the client went away first.",
            ("method", "route", "code"),
        )
        self._request_seconds = self._histogram(
            "blendmask_request_seconds",
            "From the request's head to the end of its answer.",
            ("route",),
            _SECONDS,
        )
        self._stage_seconds = self._histogram(
            "blendmask_stage_seconds",
            "A request's time in each stage, its images together.",
            ("stage",),
            _SECONDS,
        )
        self._in_flight = Gauge(
            "blendmask_requests_in_flight",
            "Requests whose answer is not finished, probes apart.",
            registry=self._registry,
        )
        self._loop_lag = self._histogram(
            "blendmask_event_loop_lag_seconds",
            "How much later than asked a sleeping task of the event loop woke up.",
            (),
            _SECONDS,
        )

    def _add_batches(self) -> None:
        of_worker = ("model", "device")
        self._batch_images = self._histogram(
            "blendmask_batch_images", "Images in a batch.", of_worker, _BATCH_IMAGES
        )
        self._batch_fill = self._histogram(
            "blendmask_batch_fill_ratio",
            "Images in a batch, of those that the limits allow for its canvas.",
            of_worker,
            _FRACTIONS,
        )
        self._batch_pixels = self._histogram(
            "blendmask_batch_padded_pixels",
            "Pixels of a batch as the network sees it, padding included.",
            of_worker,
            _PIXELS,
        )
        self._batch_seconds = self._histogram(
            "blendmask_batch_seconds", "How long a batch held its device.", of_worker, _SECONDS
        )
        of_answer = ("model", "task")
        self._images = self._counter("blendmask_images_total", "Images answered.", of_answer)
        self._instances = self._histogram(
            "blendmask_image_instances",
            "Instances or segments in an image's answer.",
            of_answer,
            _INSTANCES,
        )

    def _add_mishaps(self) -> None:
        self._refused = self._counter(
            "blendmask_refused_total", "Requests that the engine did not take.", ("reason",)
        )
        self._dropped = self._counter(
            "blendmask_dropped_total",
            "Images taken but not run, since nobody waited for them any more.",
            ("reason",),
        )
        self._retried = self._counter(
            "blendmask_retried_total", "Images run again after their worker was lost.", ()
        )
        self._restarts = self._counter(
            "blendmask_worker_restarts_total", "Workers replaced.", ("device", "reason")
        )
        # There from the start: what comes into being as 1 looks to rate() as if it had not risen.
        for reason in _REFUSAL_REASONS:
            self._refused.labels(reason)
        for reason in _DROP_REASONS:
            self._dropped.labels(reason)

    def observe(
        self, *, method: str, route: str, code: int, seconds: float, stages: Mapping[str, float]
    ) -> None:
        """Count one answered request.

        Args:
            method: a method the route has; anything else would let callers invent series.
            route: the route's template, never the path itself.
            code: the status sent, or 499.
            seconds: the whole request.
            stages: seconds by stage.
        """
        self._requests.labels(method, route, str(code)).inc()
        self._request_seconds.labels(route).observe(seconds)
        for stage, value in stages.items():
            self._stage_seconds.labels(stage).observe(value)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request as being answered inside the `with` block."""
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()

    def loop_lag(self, seconds: float) -> None:
        """Count one sample of how late the event loop is."""
        self._loop_lag.observe(seconds)

    def batch(
        self,
        *,
        model: str,
        device: str,
        num_images: int,
        fill: float,
        padded_pixels: int,
        seconds: float,
    ) -> None:
        """Count one finished batch.

        Args:
            fill: images of those that the limits allow for that canvas, 0..1.
            padded_pixels: of all images as the network sees them.
            seconds: the time the device was held.
        """
        self._batch_images.labels(model, device).observe(num_images)
        self._batch_fill.labels(model, device).observe(fill)
        self._batch_pixels.labels(model, device).observe(padded_pixels)
        self._batch_seconds.labels(model, device).observe(seconds)

    def picture(self, *, model: str, task: str, num_instances: int) -> None:
        """Count one answered image."""
        self._images.labels(model, task).inc()
        self._instances.labels(model, task).observe(num_instances)

    def refused(self, reason: str) -> None:
        """Count a request that was not taken: "queue_full", "too_large", ..."""
        self._refused.labels(reason).inc()

    def dropped(self, reason: str) -> None:
        """Count an image that was taken and not run: "client_gone" or "deadline"."""
        self._dropped.labels(reason).inc()

    def retried(self) -> None:
        """Count an image that runs again because its worker was lost."""
        self._retried.inc()

    def worker_restarted(self, *, device: str, reason: str) -> None:
        """Count a replaced worker: "died", "hung", "silent", "fatal", "canary" or "reload".

        Any other reason, which may be the text of an error, counts as "other".
        """
        self._restarts.labels(device, reason if reason in _RESTART_REASONS else "other").inc()

    def expect_workers(self, devices: Iterable[str]) -> None:
        """Count restarts on these devices from 0."""
        for device in devices:
            for reason in (*_RESTART_REASONS, "other"):
                self._restarts.labels(device, reason)

    def watch(self, state: Callable[[], EngineState]) -> None:
        """Ask this how the engine stands, at each rendering."""
        self._state.engine = state

    def watch_readiness(self, unready_reason: Callable[[], str | None]) -> None:
        """Ask this whether new traffic should come, at each rendering; None: it should."""
        self._state.unready_reason = unready_reason

    def watch_connections(self, num_connections: Callable[[], int]) -> None:
        """Ask this how many connections clients hold open, at each rendering."""
        self._state.num_connections = num_connections

    def families(self) -> Iterator[Metric]:
        """Return all metrics; without the `_created` series, which double what is stored."""
        for family in self._registry.collect():
            unwanted = family.name + "_created"
            family.samples = [sample for sample in family.samples if sample.name != unwanted]
            yield family

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; takes milliseconds, waits for nothing."""
        return generate_latest(_Families(self.families))

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)


class _Families(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()
