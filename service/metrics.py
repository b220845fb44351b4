"""What /metrics tells: requests by route and code, and where their time goes."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "blendmask_requests_total",
            "Requests answered; code 499: the client went away first.",
            ("method", "route", "code"),
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "blendmask_request_seconds",
            "From the request's head to the end of its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "blendmask_stage_seconds",
            "A request's time in each stage, its images together.",
            ("stage",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

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

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
