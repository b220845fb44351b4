"""Spans of requests, of their stages and of batches, made after the fact from measured seconds.

    the caller's span
    └── POST /segment                        a request, from its head to the end of its answer
        ├── read, parse, fetch, serialise    measured in this process
        └── queue, decode, preprocess, forward, postprocess, encode      of each picture
    batch                                    what a worker ran at once

A worker exports nothing: its spans are made here from the seconds that it reports. A batch has
pictures of several requests; its span lies in the trace of the first that is sampled and links
to the others, and the pictures' worker stages link to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from model.version import DISTRIBUTION
from service.watch.request_context import RequestContext

# What the last spans may take to leave when the server stops.
CLOSE_S = 3.0

_BEFORE_FORWARD = ("decode", "preprocess")
_FROM_FORWARD = ("forward", "postprocess", "encode")
_W3C = TraceContextTextMapPropagator()


def otlp_provider(service_version: str) -> TracerProvider:
    """Return a provider that sends spans over OTLP/HTTP, set up by OpenTelemetry's variables."""
    ours = Resource({"service.name": DISTRIBUTION, "service.version": service_version})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """Makes the spans of one server; all methods but `close` are cheap and wait for nothing."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("blendmask")

    def begin_request(self, scope: Scope, context: RequestContext) -> RequestSpan:
        """Begin the span of a request; its context's `traceparent` is the span's from now on."""
        headers = Headers(scope=scope)
        caller = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        span = self._tracer.start_span(
            "request",
            context=_W3C.extract(caller),
            kind=SpanKind.SERVER,
            start_time=_epoch_ns(context.started, time.perf_counter()),
        )
        context.traceparent = _traceparent(span.get_span_context())
        return RequestSpan(self, span, scope, context)

    def begin_batch(self, *, model: str, device: str, parents: Sequence[str | None]) -> BatchSpan:
        """Begin the span of a batch that is handed to a worker.

        Args:
            parents: the traceparent of the request of each picture.
        """
        return BatchSpan(self, model, device, parents)

    def add(
        self,
        name: str,
        parent: Span,
        start_ns: int,
        seconds: float,
        attributes: Mapping[str, str | int] | None = None,
        links: Sequence[Link] = (),
    ) -> int:
        """Add a span that is over, below another; return its end, in epoch nanoseconds."""
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(parent),
            attributes=attributes,
            links=links,
            start_time=start_ns,
        )
        end_ns = start_ns + round(seconds * 1e9)
        span.end(end_ns)
        return end_ns

    def start(self, name: str, parent: Span, links: Sequence[Link]) -> Span:
        """Start a span now, below another."""
        return self._tracer.start_span(name, context=set_span_in_context(parent), links=links)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        # The provider would wait for a collector that is away much longer than a stop may take.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class RequestSpan:
    """The span of one request, from `Tracing.begin_request`."""

    def __init__(self, tracing: Tracing, span: Span, scope: Scope, context: RequestContext) -> None:
        self._tracing = tracing
        self._span = span
        self._scope = scope
        self._context = context

    def end(self, *, route: str | None, code: int) -> None:
        """End the span, its stages below it.

        Args:
            route: the template; None if no route matched.
            code: the status sent, or 499.
        """
        span, method = self._span, self._scope["method"]
        if span.is_recording():
            span.update_name(method if route is None else f"{method} {route}")
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", code)
            span.set_attribute("blendmask.request_id", self._context.request_id)
            if route is not None:
                span.set_attribute("http.route", route)
            if self._context.num_images is not None:
                span.set_attribute("blendmask.images", self._context.num_images)
            if code >= 500:
                span.set_status(Status(StatusCode.ERROR))
            now = time.perf_counter()
            for interval in self._context.intervals:
                start_ns = _epoch_ns(interval.started, now)
                self._tracing.add(interval.stage, span, start_ns, interval.seconds)
        span.end()


class BatchSpan:
    """The span of one batch, from `Tracing.begin_batch`; nothing where no request is sampled."""

    def __init__(
        self, tracing: Tracing, model: str, device: str, parents: Sequence[str | None]
    ) -> None:
        self._tracing = tracing
        self._began = time.monotonic()
        self._span: Span | None = None
        requests = [span for span in map(_sampled, dict.fromkeys(parents)) if span is not None]
        if requests:
            links = [Link(span.get_span_context()) for span in requests[1:]]
            self._span = tracing.start("batch", requests[0], links)
            self._span.set_attribute("blendmask.model", model)
            self._span.set_attribute("blendmask.device", device)
            self._span.set_attribute("blendmask.images", len(parents))

    def picture(
        self, parent: str | None, *, index: int, submitted: float, seconds: Mapping[str, float]
    ) -> None:
        """Add the stages of a picture that has just been answered, below its request.

        Args:
            parent: the traceparent of its request.
            index: its place in the request.
            submitted: when it began to wait, in seconds of `time.monotonic`.
            seconds: by stage, as the worker told them.
        """
        request = _sampled(parent)
        if request is None or self._span is None:
            return
        attributes = {"blendmask.image": index}
        links = [Link(self._span.get_span_context())]
        now = time.monotonic()
        began_ns = _epoch_ns(self._began, now)
        self._tracing.add(
            "queue", request, _epoch_ns(submitted, now), self._began - submitted, attributes
        )
        # The worker tells how long, not when: the first stages begin when it gets the batch, the
        # last end with the answer, and in between the picture waits for the device.
        start_ns = began_ns
        for stage in _BEFORE_FORWARD:
            if stage in seconds:
                start_ns = self._tracing.add(
                    stage, request, start_ns, seconds[stage], attributes, links
                )
        rest = [stage for stage in _FROM_FORWARD if stage in seconds]
        start_ns = max(start_ns, _epoch_ns(now - sum(seconds[stage] for stage in rest), now))
        for stage in rest:
            start_ns = self._tracing.add(
                stage, request, start_ns, seconds[stage], attributes, links
            )

    def end(self, *, padded_pixels: int = 0, failure: str | None = None) -> None:
        """End the span.

        Args:
            padded_pixels: of all images as the network saw them.
            failure: why the worker did not finish it; None if it did.
        """
        if self._span is None:
            return
        self._span.set_attribute("blendmask.padded_pixels", padded_pixels)
        if failure is not None:
            self._span.set_status(Status(StatusCode.ERROR, failure))
        self._span.end()


def _sampled(traceparent: str | None) -> Span | None:
    """Return what stands for a request's span, given its `traceparent`, if it is sampled."""
    if traceparent is None:
        return None
    _, trace_id, span_id, flags = (int(part, 16) for part in traceparent.split("-"))
    context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(flags))
    return NonRecordingSpan(context) if context.trace_flags.sampled else None


def _traceparent(span: SpanContext) -> str:
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def _epoch_ns(moment: float, now: float) -> int:
    """Return a moment of some clock as epoch nanoseconds, given that clock's `now`."""
    return time.time_ns() - round((now - moment) * 1e9)
