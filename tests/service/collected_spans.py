"""Tracing whose spans stay here, for tests to look at. Needs the extra otel."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from service_fakes import FakeEngine, call
from starlette.types import Scope

from service.app import create_app
from service.configuration.settings import Settings
from service.watch.request_context import RequestContext
from service.watch.tracing_spans import RequestSpan, Tracing

_POST: Scope = {"type": "http", "method": "POST", "path": "/segment", "headers": []}


class Collected:
    """Tracing that keeps its spans here."""

    def __init__(self, **provider: Any) -> None:
        self._exporter = InMemorySpanExporter()
        tracer_provider = TracerProvider(**provider)
        tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(tracer_provider)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The finished spans by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def request(self, headers: dict[str, str] | None = None, url: str = "/segment") -> None:
        """Send an empty body, which is refused with 400 after it was read."""
        app = create_app(Settings(), FakeEngine(), None, self.tracing)
        sent = {"Content-Type": "image/jpeg", **(headers or {})}
        assert call(app, "POST", url, headers=sent).status_code in (400, 404)

    def begin_request(self) -> tuple[RequestContext, RequestSpan]:
        """Begin a request; its span is the caller's to end."""
        context = RequestContext(request_id="abc")
        return context, self.tracing.begin_request(_POST, context)
