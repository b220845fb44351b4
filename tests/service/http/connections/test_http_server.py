from __future__ import annotations

import json
import time

import pytest
from service_fakes import FakeEngine, picture
from sockets import Client, listening

from service.http.connections import guard
from service.http.connections.guard import Guard
from service.http.connections.h11_protocol import GuardedH11
from service.http.connections.httptools_protocol import GuardedHttpTools

PICTURE = picture()
HEAD = b"POST /segment HTTP/1.1\r\nHost: server\r\nContent-Type: image/jpeg\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n"

pytestmark = pytest.mark.parametrize("base", [GuardedH11, GuardedHttpTools])


def trickle(client: Client, data: bytes, pause_s: float) -> bool:
    """Send byte by byte, and return whether the server cut the connection meanwhile."""
    try:
        for number in range(len(data)):
            client.send(data[number : number + 1])
            time.sleep(pause_s)
    except OSError:
        return True
    return False


def test_ordinary_requests_share_a_connection(base: type[Guard]) -> None:
    with listening(base, head_timeout_s=0.3) as (address, _), Client(address) as client:
        for _ in range(3):
            client.send(WHOLE)
            status, fields, body = client.answer()
            assert status == 200
            assert json.loads(body)["images"] == [{"n": 0}]
            assert "connection" not in fields
            time.sleep(0.2)  # together longer than a head may take


def test_requests_that_come_at_once_are_answered_in_order(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(WHOLE + HEALTH + WHOLE)
        bodies = [client.answer()[2] for _ in range(3)]
        assert ["images" in json.loads(body) for body in bodies] == [True, False, True]


@pytest.mark.parametrize("start", [b"", b"\r\n", HEAD])
def test_connection_without_a_whole_head_is_closed(base: type[Guard], start: bytes) -> None:
    with listening(base, head_timeout_s=0.2) as (address, _), Client(address) as client:
        if start:
            client.send(start)
        assert client.is_closed()


def test_head_that_trickles_is_cut_off(base: type[Guard]) -> None:
    with listening(base, head_timeout_s=0.2) as (address, _), Client(address) as client:
        assert trickle(client, HEAD * 100, 0.05)


@pytest.mark.parametrize("start", [HEAD, b"\r\n"])
def test_second_head_on_a_connection_that_trickles_is_cut_off(
    base: type[Guard], start: bytes
) -> None:
    with listening(base, head_timeout_s=0.3) as (address, _), Client(address) as client:
        client.send(WHOLE)
        assert client.answer()[0] == 200
        client.send(start)
        assert client.is_closed()


def test_second_head_in_the_same_packet_as_a_body_is_watched_too(base: type[Guard]) -> None:
    with listening(base, head_timeout_s=0.3) as (address, _), Client(address) as client:
        client.send(WHOLE + HEAD)
        assert client.answer()[0] == 200
        client.send(b"X-Slow: y")
        assert client.is_closed()


def test_head_without_end_is_refused(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEAD)
        for number in range(40):
            client.send(b"X-%d: " % number + b"y" * 4000 + b"\r\n")
        assert client.answer()[0] == 400
        assert client.is_closed()


def test_idle_connection_is_kept_for_a_while_and_then_closed(base: type[Guard]) -> None:
    limits = {"head_timeout_s": 0.2, "keep_alive_s": 1}
    with listening(base, **limits) as (address, _), Client(address) as client:
        for _ in range(2):
            client.send(WHOLE)
            status, fields, _ = client.answer()
            assert (status, "connection" in fields) == (200, False)
            time.sleep(0.4)  # longer than a head may take
        assert client.rest() == b""


def test_idle_connection_is_closed_when_the_server_stops(base: type[Guard]) -> None:
    with listening(base) as (address, server), Client(address) as client:
        client.send(WHOLE)
        assert client.answer()[0] == 200
        server.should_exit = True
        assert client.rest() == b""


def test_long_answer_does_not_count_as_a_slow_head(base: type[Guard]) -> None:
    engine = FakeEngine()
    engine.delay_s = 0.5
    with listening(base, engine, head_timeout_s=0.1) as (address, _), Client(address) as client:
        client.send(WHOLE)
        assert client.answer()[0] == 200


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"]
)
def test_body_without_end_is_400_and_the_last_answer(base: type[Guard], framing: bytes) -> None:
    with listening(base, body_timeout_s=0.2) as (address, _), Client(address) as client:
        client.send(HEAD + framing)
        status, fields, body = client.answer()
        assert status == 400
        assert "did not arrive within 0.2 s" in json.loads(body)["detail"]
        assert fields["connection"] == "close"
        assert client.is_closed()


def test_body_that_trickles_is_cut_off(base: type[Guard]) -> None:
    with listening(base, body_timeout_s=0.3) as (address, _), Client(address) as client:
        client.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
        for _ in range(10):
            client.send(b"x")
            time.sleep(0.05)
        assert client.answer()[0] == 400


def test_chunks_beyond_the_limit_are_refused_as_they_arrive(base: type[Guard]) -> None:
    with listening(base, max_body_bytes=10_000) as (address, _), Client(address) as client:
        client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            client.send(b"fa0\r\n" + b"x" * 4000 + b"\r\n")
        status, fields, _ = client.answer()
        assert status == 413
        assert fields["connection"] == "close"


@pytest.mark.parametrize(
    ("head", "settings", "expected"),
    [
        (HEAD + b"Content-Length: 40000000\r\n", {}, 413),
        (HEAD.replace(b"jpeg", b"gif") + b"Content-Length: 4000000\r\n", {}, 415),
        (HEAD.replace(b"segment", b"nothing") + b"Content-Length: 4000000\r\n", {}, 404),
        (HEAD + b"Content-Length: 4000000\r\n", {"keys": ("secret",)}, 401),
    ],
)
@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"])
def test_early_refusal_reads_no_body_and_ends_the_connection(
    base: type[Guard], head: bytes, settings: dict[str, object], expected: int, expects: bytes
) -> None:
    with listening(base, **settings) as (address, _), Client(address) as client:
        client.send(head + expects + b"\r\n")
        status, fields, _ = client.answer()
        assert status == expected
        assert fields["connection"] == "close"
        assert client.is_closed()


def test_client_that_goes_on_sending_can_read_why_it_was_refused(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEAD + b"Content-Length: 40000000\r\n\r\n" + bytes(20_000_000))
        assert client.answer()[0] == 413


def test_client_that_sends_for_ever_after_a_refusal_is_cut_off(
    base: type[Guard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LINGER_S", 0.2)
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEAD + b"Content-Length: 4000000000\r\n\r\n")
        assert client.answer()[0] == 413
        assert trickle(client, bytes(400), 0.05)


def test_expected_continue_comes_once_the_head_was_judged(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(PICTURE))
        assert client.answer()[0] == 100
        client.send(PICTURE)
        assert client.answer()[0] == 200


def test_refused_request_with_its_whole_body_keeps_the_connection(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(WHOLE.replace(PICTURE, b"x" * len(PICTURE)))
        status, fields, _ = client.answer()
        assert status == 400
        assert "connection" not in fields
        client.send(WHOLE)
        assert client.answer()[0] == 200


def test_what_is_no_http_is_400(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert client.answer()[0] == 400
        assert client.is_closed()


def test_answer_that_nobody_takes_is_given_up(base: type[Guard]) -> None:
    engine = FakeEngine()
    engine.body = b'"' + b"x" * 30_000_000 + b'"'
    with (
        listening(base, engine, body_timeout_s=0.3) as (address, server),
        Client(address) as client,
    ):
        client.send(WHOLE)
        deadline = time.monotonic() + 20
        while not server.server_state.total_requests or server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_crowd_is_refused_with_503_but_for_probes(base: type[Guard]) -> None:
    with (
        listening(base, max_connections=1) as (address, _),
        Client(address) as first,
        Client(address) as second,
    ):
        first.send(WHOLE)
        assert first.answer()[0] == 200
        second.send(WHOLE)
        status, fields, body = second.answer()
        assert (status, fields["connection"], fields["retry-after"]) == (503, "close", "1")
        assert "too many connections" in json.loads(body)["detail"]
        assert second.is_closed()
        with Client(address) as probe:
            probe.send(HEALTH)
            assert probe.answer()[0] == 200


@pytest.mark.parametrize(("enough_s", "code"), [(0.2, 200), (60.0, 503)])
def test_newcomer_takes_the_place_of_the_longest_idle(
    base: type[Guard], enough_s: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "IDLE_S", enough_s)
    engine = FakeEngine()
    with (
        listening(base, engine, max_connections=3) as (address, _),
        Client(address) as busy,
        Client(address) as idlest,
        Client(address) as idle,
    ):
        for client in (busy, idlest, idle):
            client.send(WHOLE)
            assert client.answer()[0] == 200
        engine.delay_s = 1.0
        busy.send(WHOLE)
        time.sleep(0.4)  # the others are idle for long enough, or not
        with Client(address) as newcomer:
            newcomer.send(WHOLE)
            assert newcomer.answer()[0] == code
            for client in (busy, idle) if code == 200 else (busy, idle, idlest):
                client.send(WHOLE)
                assert client.answer()[0] == 200
            assert code == 503 or idlest.is_closed()


def test_connection_beyond_twice_the_limit_is_cut_off(base: type[Guard]) -> None:
    with (
        listening(base, max_connections=1) as (address, _),
        Client(address),
        Client(address),
        Client(address) as third,
    ):
        assert third.is_closed()
