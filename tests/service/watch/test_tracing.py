from __future__ import annotations

import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from service_fakes import FakeEngine, app_of, call

from service.app import create_app
from service.configuration.settings import Settings
from service.watch.tracing import open_tracing

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from collected_spans import Collected
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"


def seconds_of(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_request_is_a_server_span_named_by_its_route() -> None:
    collected = Collected()
    collected.request({"X-Request-ID": "abc"})
    span = collected.spans["POST /segment"]
    assert span.kind.name == "SERVER"
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/segment",
        "http.response.status_code": 400,
        "blendmask.request_id": "abc",
    }


def test_span_of_a_request_lies_below_that_of_its_caller() -> None:
    collected = Collected()
    collected.request({"traceparent": CALLER})
    span = collected.spans["POST /segment"]
    assert f"{span.get_span_context().trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", CALLER.upper()])
def test_traceparent_that_is_none_begins_a_trace(header: str) -> None:
    collected = Collected()
    collected.request({"traceparent": header})
    assert collected.spans["POST /segment"].parent is None


def test_stages_measured_here_are_spans_below_the_request() -> None:
    collected = Collected()
    collected.request()
    request, read = collected.spans["POST /segment"], collected.spans["read"]
    assert read.parent == request.get_span_context()
    assert request.start_time <= read.start_time <= read.end_time <= request.end_time


def test_unknown_path_is_no_name_of_a_span() -> None:
    collected = Collected()
    collected.request(url="/nowhere?token=secret")
    [span] = collected.spans.values()
    assert span.name == "POST"
    assert "nowhere" not in str(span.to_json())


def test_probes_are_not_traced() -> None:
    collected = Collected()
    call(create_app(Settings(), FakeEngine(), None, collected.tracing), "GET", "/healthz")
    assert not collected.spans


@pytest.mark.parametrize(("code", "status"), [(499, "UNSET"), (429, "UNSET"), (500, "ERROR")])
def test_only_faults_of_the_server_are_errors(code: int, status: str) -> None:
    collected = Collected()
    _, span = collected.begin_request()
    span.end(route="/segment", code=code)
    assert collected.spans["POST /segment"].status.status_code.name == status


def test_work_for_a_request_carries_the_id_of_its_span() -> None:
    collected = Collected()
    context, span = collected.begin_request()
    span.end(route="/segment", code=200)
    made = collected.spans["POST /segment"].get_span_context()
    assert context.traceparent is not None
    assert context.traceparent.startswith(f"00-{made.trace_id:032x}-{made.span_id:016x}-")
    assert context.trace_id == f"{made.trace_id:032x}"


def test_stages_of_the_worker_lie_below_the_request_and_link_to_the_batch() -> None:
    collected = Collected()
    context, request = collected.begin_request()
    submitted = time.monotonic() - 2.0
    batch = collected.tracing.begin_batch(
        model="R_50_3x", device="cuda:0", parents=[context.traceparent]
    )
    seconds = {"decode": 0.25, "forward": 0.5, "encode": 0.125}
    batch.picture(context.traceparent, index=3, submitted=submitted, seconds=seconds)
    batch.end(padded_pixels=1000)
    request.end(route="/segment", code=200)

    spans = collected.spans
    assert set(spans) == {"queue", "decode", "forward", "encode", "batch", "POST /segment"}
    for stage, stage_seconds in seconds.items():
        span = spans[stage]
        assert span.parent == spans["POST /segment"].get_span_context()
        assert [link.context for link in span.links] == [spans["batch"].get_span_context()]
        assert dict(span.attributes or {}) == {"blendmask.image": 3}
        assert seconds_of(span) == pytest.approx(stage_seconds)
    assert seconds_of(spans["queue"]) >= 2.0
    ordered = sorted(seconds, key=lambda stage: spans[stage].start_time or 0)
    assert ordered == ["decode", "forward", "encode"]
    assert dict(spans["batch"].attributes or {}) == {
        "blendmask.model": "R_50_3x",
        "blendmask.device": "cuda:0",
        "blendmask.images": 1,
        "blendmask.padded_pixels": 1000,
    }


def test_batch_of_several_requests_links_to_all_but_the_one_it_lies_below() -> None:
    collected = Collected()
    (first, _), (second, _) = collected.begin_request(), collected.begin_request()
    parents = [first.traceparent, second.traceparent, second.traceparent]
    collected.tracing.begin_batch(model="m", device="cpu", parents=parents).end()

    span = collected.spans["batch"]
    assert span.parent is not None
    assert first.traceparent is not None
    assert first.traceparent[3:52] == f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}"
    [link] = span.links
    assert f"{link.context.trace_id:032x}" == second.trace_id


def test_batch_that_its_worker_lost_is_an_error() -> None:
    collected = Collected()
    batch = collected.tracing.begin_batch(model="m", device="cpu", parents=[CALLER])
    batch.end(failure="died")
    status = collected.spans["batch"].status
    assert (status.status_code.name, status.description) == ("ERROR", "died")


def test_request_that_is_not_sampled_leaves_no_span() -> None:
    collected = Collected(sampler=ParentBased(ALWAYS_OFF))
    context, request = collected.begin_request()
    batch = collected.tracing.begin_batch(model="m", device="cpu", parents=[context.traceparent])
    batch.picture(context.traceparent, index=0, submitted=0.0, seconds={"forward": 1.0})
    batch.end()
    request.end(route="/segment", code=200)
    assert not collected.spans


def test_pictures_without_a_trace_are_passed_over() -> None:
    collected = Collected()
    batch = collected.tracing.begin_batch(model="m", device="cpu", parents=[None])
    batch.picture(None, index=0, submitted=0.0, seconds={"forward": 1.0})
    batch.end()
    assert not collected.spans


def test_spans_leave_for_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "masks")
        tracing = open_tracing(True, "1.2.3")
        assert tracing is not None
        tracing.begin_batch(model="R_50_3x", device="cpu", parents=[CALLER]).end()
        tracing.close()
        server.shutdown()
    [(path, body)] = received
    assert path == "/v1/traces"
    for said in (b"masks", b"1.2.3", b"batch", b"R_50_3x", bytes.fromhex(TRACE)):
        assert said in body


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.watch.tracing_spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(
        ValueError,
        match="pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or switch",
    ):
        open_tracing(True, "1.0")


def test_tracing_that_is_off_imports_no_sdk() -> None:
    program = (
        "import sys, service.app, service.watch.tracing\n"
        "assert service.watch.tracing.open_tracing(False, '1.0') is None\n"
        "late = {'opentelemetry.sdk', 'service.watch.tracing_spans'}\n"
        "sys.exit(bool(late & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_trace_of_the_caller_is_logged_also_where_tracing_is_off() -> None:
    seen = []
    app = app_of()

    @app.get("/seen")
    async def note() -> None:
        from service.watch.logs import current_trace_id

        seen.append(current_trace_id.get())

    call(app, "GET", "/seen", headers={"traceparent": CALLER})
    call(app, "GET", "/seen", headers={"traceparent": "nonsense"})
    assert seen == [TRACE, ""]
