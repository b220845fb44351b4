"""What belongs to one request while it is answered: its ids, its beginning, its stages."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import Scope

_KEY = "blendmask.context"
_SANE_ID = re.compile(r"[\x21-\x7e]{1,128}")
# W3C Trace Context, version 00; ids of zeros are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Interval:
    """A stage that was measured here: its beginning (`time.perf_counter`) and its seconds."""

    stage: str
    started: float
    seconds: float


@dataclass(kw_only=True)
class RequestContext:
    """A request's ids, when it began (`time.perf_counter`), and its seconds by stage.

    traceparent: the W3C header that work for this request carries: the caller's, or that of
        our own span where we trace; None if there is neither.
    num_images: how many it brought; None until its body is read.
    intervals: the stages that were measured in this process, for the spans of a trace.
    """

    request_id: str
    traceparent: str | None = None
    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)
    num_images: int | None = None
    intervals: list[Interval] = field(default_factory=list)

    @property
    def trace_id(self) -> str:
        """The trace that the request belongs to, 32 hex digits; empty if to none."""
        return self.traceparent[3:35] if self.traceparent else ""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the seconds inside the `with` block to that stage, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds
            self.intervals.append(Interval(stage, start, seconds))

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header: milliseconds by stage, then in all."""
        total = time.perf_counter() - self.started
        return ", ".join(
            f"{stage};dur={1000 * seconds:.2f}"
            for stage, seconds in (*self.stages.items(), ("total", total))
        )


def open_context(
    scope: Scope, wanted_id: str | None, traceparent: str | None = None
) -> RequestContext:
    """Return a new context, kept in the scope, with what the caller sent if that is sane.

    Args:
        wanted_id: its X-Request-ID.
        traceparent: its header of that name.
    """
    request_id = wanted_id if wanted_id and _SANE_ID.fullmatch(wanted_id) else uuid.uuid4().hex
    sane_parent = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    context = RequestContext(request_id=request_id, traceparent=sane_parent)
    scope[_KEY] = context
    return context


def context_of(request: Request) -> RequestContext:
    """Return the context of a request."""
    context = request.scope[_KEY]
    assert isinstance(context, RequestContext)
    return context
