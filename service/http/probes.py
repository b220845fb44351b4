"""What machines ask for every few seconds, to see how the server is."""

from __future__ import annotations

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
