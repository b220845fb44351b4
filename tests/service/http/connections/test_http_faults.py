from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from service_fakes import FakeEngine, picture
from sockets import Client, listening

from service.http.connections.connection_state import MAX_HEAD_BYTES
from service.http.connections.guard import Guard
from service.http.connections.h11_protocol import GuardedH11
from service.http.connections.httptools_protocol import GuardedHttpTools

PICTURE = picture()
HEAD = b"POST /segment HTTP/1.1\r\nHost: server\r\nContent-Type: image/jpeg\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"
RUBBISH = b"\x16\x03\x01 hello\r\n\r\n"
TOO_LARGE = f"more than {MAX_HEAD_BYTES} bytes"

pytestmark = pytest.mark.parametrize("base", [GuardedH11, GuardedHttpTools])


def assert_last_problem(client: Client, mention: str = "not HTTP/1.1") -> dict[str, str]:
    """Check that the next answer is a 400 that ends the connection; return its header fields."""
    status, fields, body = client.answer()
    problem = json.loads(body)
    assert status == problem["status"] == 400
    assert mention in problem["detail"]
    assert fields["content-type"] == "application/problem+json"
    assert fields["x-request-id"] == problem["request_id"]
    assert "total;dur=" in fields["server-timing"]
    assert fields["connection"] == "close"
    assert client.rest() == b""
    return fields


@pytest.mark.parametrize(
    ("sent", "mention"),
    [
        (RUBBISH, "not HTTP/1.1"),
        (b"GET /healthz HTTP/1.x\r\n\r\n", "not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n", "not HTTP/1.1"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "not HTTP/1.1"),
        (b"GET /" + b"x" * 80_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", TOO_LARGE),
        (HEALTH[:-2] + b"X: " + b"y" * 300_000 + b"\r\n\r\n", TOO_LARGE),
    ],
)
def test_what_is_no_http_gets_a_problem_document(
    base: type[Guard], sent: bytes, mention: str
) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(sent)
        assert_last_problem(client, mention)


def test_what_is_no_http_is_counted_and_logged(
    base: type[Guard], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with listening(base) as (address, _):
        with Client(address) as client:
            client.send(RUBBISH)
            assert_last_problem(client)
        with Client(address) as client:
            client.send(METRICS)
            metrics = client.answer()[2]
    assert b'requests_total{code="400",method="(none)",route="(none)"} 1.0' in metrics
    [line] = [vars(one) for one in caplog.records if one.getMessage() == "request"]
    assert (line["route"], line["code"], line["method"]) == ("(none)", 400, "(none)")


@pytest.mark.parametrize("broken", [b"zz\r\nabc", b"3\r\nabcdef\r\n", b"3\r\nabc\r\n-1\r\n"])
@pytest.mark.parametrize("is_in_one_packet", [True, False])
def test_body_that_breaks_off_is_told_to_the_request_that_it_belongs_to(
    base: type[Guard],
    broken: bytes,
    is_in_one_packet: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    engine = FakeEngine()
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine\r\n\r\n")
    with listening(base, engine) as (address, server), Client(address) as client:
        client.send(head + (broken if is_in_one_packet else b""))
        if not is_in_one_packet:
            wait_until(lambda: any(one.cycle for one in server.server_state.connections))
            client.send(broken)
        assert assert_last_problem(client)["x-request-id"] == "mine"
    assert engine.jobs == []
    [line] = [vars(one) for one in caplog.records if one.getMessage() == "request"]
    assert line["code"] == 400


@pytest.mark.parametrize(
    ("start", "endless"), [(b"0\r\nX: ", b"yyyy"), (b"3;x=", b"yyyy"), (b"0\r\n", b"a: b\r\n")]
)
def test_trailers_and_extensions_without_end_are_refused(
    base: type[Guard], start: bytes, endless: bytes
) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(CHUNKED + start)
        for _ in range(30):
            client.send(endless * 2500)
        assert client.answer()[0] == 400


def test_trailers_are_no_part_of_the_head(base: type[Guard]) -> None:
    body = b"%x\r\n%b\r\n0\r\n" % (len(PICTURE), PICTURE)
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEALTH + CHUNKED + body + b"Accept: image/png\r\n\r\n")
        assert client.answer()[0] == 200
        status, fields, _ = client.answer()
        assert (status, fields["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("requests", [[WHOLE], [WHOLE, HEALTH, WHOLE]])
@pytest.mark.parametrize("is_in_one_packet", [True, False])
def test_rubbish_behind_requests_is_refused_once_they_are_answered(
    base: type[Guard], requests: list[bytes], is_in_one_packet: bool
) -> None:
    engine = FakeEngine()
    engine.delay_s = 0.2
    with listening(base, engine) as (address, _), Client(address) as client:
        client.send(b"".join(requests) + (RUBBISH if is_in_one_packet else b""))
        if not is_in_one_packet:
            wait_until(lambda: engine.jobs)
            client.send(RUBBISH)
        for _ in requests:
            status, fields, _ = client.answer()
            assert (status, "connection" in fields) == (200, False)
        assert_last_problem(client)


@pytest.mark.parametrize("is_in_one_packet", [True, False])
def test_rubbish_behind_a_last_request_does_not_replace_its_answer(
    base: type[Guard], is_in_one_packet: bool
) -> None:
    engine = FakeEngine()
    engine.delay_s = 0.2
    last = WHOLE.replace(b"Host: server", b"Host: server\r\nConnection: close")
    with listening(base, engine) as (address, _), Client(address) as client:
        client.send(last + (RUBBISH if is_in_one_packet else b""))
        if not is_in_one_packet:
            wait_until(lambda: engine.jobs)
            client.send(RUBBISH)
        assert client.answer()[0] == 200
        assert client.rest() == b""


def test_half_a_request_behind_one_leaves_the_connection_open(base: type[Guard]) -> None:
    engine = FakeEngine()
    engine.delay_s = 0.1
    with listening(base, engine) as (address, _), Client(address) as client:
        client.send(WHOLE + WHOLE[:-5])
        status, fields, _ = client.answer()
        assert (status, "connection" in fields) == (200, False)
        client.send(WHOLE[-5:])
        assert client.answer()[0] == 200


def test_large_body_does_not_count_as_part_of_the_next_head(base: type[Guard]) -> None:
    body = PICTURE + bytes(300_000)
    large = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with listening(base) as (address, _), Client(address) as client:
        client.send(large + HEALTH[:20])
        assert client.answer()[0] == 200
        client.send(HEALTH[20:])
        assert client.answer()[0] == 200


@pytest.mark.parametrize("packet_bytes", [10**6, 1000])
@pytest.mark.parametrize("excess", [0, 1])
def test_head_is_held_to_its_limit_exactly(
    base: type[Guard], packet_bytes: int, excess: int
) -> None:
    filler = MAX_HEAD_BYTES + excess - len(HEALTH) - len(b"X: \r\n")
    head = HEALTH[:-2] + b"X: " + b"y" * filler + b"\r\n\r\n"
    assert len(head) == MAX_HEAD_BYTES + excess
    with listening(base) as (address, _), Client(address) as client:
        for start in range(0, len(head), packet_bytes):
            client.send(head[start : start + packet_bytes])
        if excess:
            assert_last_problem(client, TOO_LARGE)
        else:
            assert client.answer()[0] == 200


def test_length_of_thousands_of_digits_is_no_defect_of_ours(base: type[Guard]) -> None:
    length = b"Content-Length: %b%d" % (b"0" * 6000, len(PICTURE))
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEAD + length + b"\r\n\r\n" + PICTURE)
        assert client.answer()[0] in (200, 400)


def test_method_without_end_is_not_repeated(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEALTH.replace(b"GET", b"G" * 5000))
        status, _, body = client.answer()
        assert status in (400, 405)
        assert len(body) < 500


@pytest.mark.parametrize("behind", [b"", HEALTH, RUBBISH])
def test_client_that_leaves_is_noticed_whatever_it_sent_behind_its_request(
    base: type[Guard], behind: bytes
) -> None:
    if base is GuardedH11 and behind:
        pytest.skip("what comes behind is not read before the answer, the end neither")
    engine = FakeEngine()
    engine.hold = asyncio.Event()
    with listening(base, engine) as (address, server):
        with Client(address) as client:
            client.send(WHOLE + behind)
            wait_until(lambda: bool(engine.jobs))
        wait_until(lambda: engine.cancelled == 1)
        wait_until(lambda: not server.server_state.connections)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
