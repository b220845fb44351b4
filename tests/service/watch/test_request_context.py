from __future__ import annotations

import re

import pytest
from starlette.types import Scope

from service.watch.request_context import RequestContext, open_context

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_stage_that_is_measured_twice_adds_up() -> None:
    context = RequestContext(request_id="abc")
    with context.measure("read"):
        pass
    with context.measure("read"):
        pass
    first, second = context.intervals
    assert (first.stage, second.stage) == ("read", "read")
    assert first.started + first.seconds <= second.started
    assert context.stages == {"read": first.seconds + second.seconds}


def test_stage_counts_also_when_it_fails() -> None:
    context = RequestContext(request_id="abc")
    with pytest.raises(ValueError, match="broken"), context.measure("parse"):
        raise ValueError("broken")
    assert "parse" in context.stages


def test_server_timing_has_milliseconds_by_stage_and_in_all() -> None:
    context = RequestContext(request_id="abc", stages={"read": 0.002, "queue": 0.0305})
    pattern = r"read;dur=2\.00, queue;dur=30\.50, total;dur=\d+\.\d\d"
    assert re.fullmatch(pattern, context.server_timing())


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (TRACEPARENT, "0af7651916cd43dd8448eb211c80319c"),
        (None, ""),
        ("", ""),
        (TRACEPARENT + "\n", ""),
        (TRACEPARENT.replace("0af", "0AF"), ""),
        (TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), ""),
        (TRACEPARENT.replace("b7ad6b7169203331", "0" * 16), ""),
        (TRACEPARENT[:-1], ""),
    ],
)
def test_only_a_sane_trace_is_taken_over(header: str | None, trace_id: str) -> None:
    scope: Scope = {}
    assert open_context(scope, None, header).trace_id == trace_id
