from __future__ import annotations

import json

import pytest
from service_fakes import FakeEngine, picture
from sockets import Client, listening

from service.http.connections.guard import Guard
from service.http.connections.h11_protocol import GuardedH11
from service.http.connections.httptools_protocol import GuardedHttpTools

PICTURE = picture()
# What Java's HttpClient sends by default, and curl --http2.
OFFER = (
    b"POST /segment HTTP/1.1\r\nHost: server\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
)
LENGTH = b"Content-Length: %d\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n"
LAST = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
# A body that is a request: whoever takes it for one answers once too often.
SMUGGLED = b"GET /models HTTP/1.1\r\nHost: server\r\n\r\n"

pytestmark = pytest.mark.parametrize("base", [GuardedH11, GuardedHttpTools])


def chunks(data: bytes, size: int = 100) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes", [LENGTH % len(PICTURE) + PICTURE, CHUNKED + chunks(PICTURE)]
)
@pytest.mark.parametrize("packet_bytes", [10**6, 1, 7, 250])
def test_offer_of_another_protocol_is_ignored_body_and_all(
    base: type[Guard], request_bytes: bytes, packet_bytes: int
) -> None:
    engine = FakeEngine()
    sent = OFFER + request_bytes
    with listening(base, engine) as (address, _), Client(address) as client:
        for start in range(0, len(sent), packet_bytes):
            client.send(sent[start : start + packet_bytes])
        assert client.answer()[0] == 200
        client.send(sent + HEALTH)  # and the connection is as good as any
        assert client.answer()[0] == 200
        assert json.loads(client.answer()[2]) == {"status": "ok"}
    assert [job.pictures[0].data for job in engine.jobs] == [PICTURE, PICTURE]


@pytest.mark.parametrize("body", [LENGTH % len(SMUGGLED) + SMUGGLED, CHUNKED + chunks(SMUGGLED)])
@pytest.mark.parametrize("cut", [0, 1, 20, 40])
def test_body_behind_such_an_offer_is_never_taken_for_a_request(
    base: type[Guard], body: bytes, cut: int
) -> None:
    sent = OFFER + body
    with listening(base) as (address, _), Client(address) as client:
        client.send(sent[: len(sent) - cut])
        client.send(sent[len(sent) - cut :] + LAST)
        assert client.answer()[0] == 400  # those bytes are no image
        assert json.loads(client.answer()[2]) == {"status": "ok"}
        assert client.rest() == b""


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_offer_without_a_body_is_ignored_too(base: type[Guard], protocol: bytes) -> None:
    offer = HEALTH[:-2] + b"Connection: upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
    with listening(base) as (address, _), Client(address) as client:
        client.send(offer + HEALTH + offer)
        assert [client.answer()[0] for _ in range(3)] == [200] * 3


def test_offer_expects_to_go_on_as_any_request(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(OFFER + b"Expect: 100-continue\r\n" + LENGTH % len(PICTURE))
        assert client.answer()[0] == 100
        client.send(PICTURE)
        assert client.answer()[0] == 200


def test_early_refusal_of_an_offer_reads_no_body_and_ends_the_connection(base: type[Guard]) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(OFFER + LENGTH % 40_000_000 + SMUGGLED)
        status, fields, _ = client.answer()
        assert (status, fields["connection"]) == (413, "close")
        assert client.is_closed()


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: gzip", b"Content-Length: 4x"])
def test_offer_whose_body_has_no_known_end_is_refused(base: type[Guard], framing: bytes) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(OFFER + framing + b"\r\n\r\n" + SMUGGLED)
        assert client.answer()[0] == 400
        assert client.rest() == b""


def test_such_an_offer_is_no_warning(base: type[Guard], caplog: pytest.LogCaptureFixture) -> None:
    with listening(base) as (address, _), Client(address) as client:
        client.send(OFFER + LENGTH % len(PICTURE) + PICTURE)
        assert client.answer()[0] == 200
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
