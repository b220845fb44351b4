"""What belongs to one request while it is answered: its id, its beginning, its stages."""

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


@dataclass(kw_only=True)
class RequestContext:
    """A request's id, when it began (`time.perf_counter`), and its seconds by stage."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the seconds inside the `with` block to that stage, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - start

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header: milliseconds by stage, then in all."""
        total = time.perf_counter() - self.started
        return ", ".join(
            f"{stage};dur={1000 * seconds:.2f}"
            for stage, seconds in (*self.stages.items(), ("total", total))
        )


def open_context(scope: Scope, wanted_id: str | None) -> RequestContext:
    """Return a new context, kept in the scope, with the caller's id if that is a sane one."""
    sane = wanted_id is not None and _SANE_ID.fullmatch(wanted_id)
    context = RequestContext(request_id=wanted_id if wanted_id and sane else uuid.uuid4().hex)
    scope[_KEY] = context
    return context


def context_of(request: Request) -> RequestContext:
    """Return the context of a request."""
    context = request.scope[_KEY]
    assert isinstance(context, RequestContext)
    return context
