"""The switch of tracing: whoever has it off never imports OpenTelemetry's SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.watch.tracing_spans import Tracing

# Those of the extra otel, by their own names: an extra is found in a checkout alone.
PACKAGES = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


def open_tracing(is_on: bool, service_version: str) -> Tracing | None:
    """Return what makes spans and sends them by OTLP; None if tracing is off.

    Where spans go, and how many, is told by OpenTelemetry's own variables of the environment
    (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, …).

    Raises:
        ValueError: OpenTelemetry is not installed; the text names what to install.
    """
    if not is_on:
        return None
    try:
        from service.watch.tracing_spans import Tracing, otlp_provider
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ValueError(
            f"tracing is on, and {error.name} is not installed; "
            f"pip install {PACKAGES}, or switch tracing off"
        ) from None
    return Tracing(otlp_provider(service_version))
