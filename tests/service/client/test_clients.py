from __future__ import annotations

import base64
import json
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from both_clients import KINDS, Kind, use
from scripted_server import Scripted, Step, problem, scripted
from service_fakes import picture

from service.client import Client, ClientError, RefusedError, UnansweredError

OK = Step()
both = pytest.mark.parametrize("kind", KINDS)


def ids_of(server: Scripted) -> set[str]:
    return {request.headers["x-request-id"] for request in server.requests}


@both
def test_picture_goes_as_raw_bytes_with_its_options_in_the_query(kind: Kind) -> None:
    options = {"score_threshold": 0.5, "classes": ["bus", "dog"], "masks": "none", "model": None}
    with scripted(OK) as server:
        found = use(kind, server.url, "segment", picture(), options=options)
    assert (found.width, found.height, len(found)) == (8, 6, 0)
    [request] = server.requests
    assert request.body == picture()
    assert request.headers["content-type"] == "application/octet-stream"
    where = urlsplit(request.path)
    assert where.path == "/segment"
    assert parse_qs(where.query) == {
        "score_threshold": ["0.5"],
        "classes": ["bus,dog"],
        "masks": ["none"],
    }


@both
def test_ids_and_names_with_commas_go_as_json(kind: Kind) -> None:
    with scripted(OK) as server:
        use(kind, server.url, "panoptic", picture(), options={"classes": [6, "lamp, lit"]})
    [request] = server.requests
    assert request.path == "/panoptic"
    body = json.loads(request.body)
    assert body["classes"] == [6, "lamp, lit"]
    assert base64.b64decode(body["image"]["data"]) == picture()


@both
def test_key_and_a_proxys_prefix_are_sent(kind: Kind) -> None:
    with scripted(OK) as server:
        use(kind, f"{server.url}/behind/", "segment", picture(), api_key="secret")
    [request] = server.requests
    assert request.path == "/behind/segment"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["user-agent"].startswith("blendmask-client/")


@both
def test_drawing_is_asked_for_by_its_media_type(kind: Kind) -> None:
    with scripted(Step(body=b"drawn")) as server:
        options = {"task": "panoptic", "media_type": "image/png", "max_instances": 3}
        assert use(kind, server.url, "overlay", picture(), options=options) == b"drawn"
    [request] = server.requests
    assert parse_qs(urlsplit(request.path).query) == {"render": ["overlay"], "max_instances": ["3"]}
    assert request.headers["accept"] == "image/png"


@both
@pytest.mark.parametrize(("task", "name"), [("segment", "instance"), ("panoptic", "segment")])
def test_one_thing_is_cut_out_by_its_number(kind: Kind, task: str, name: str) -> None:
    with scripted(Step(body=b"cut")) as server:
        options = {"number": 3, "task": task, "crop": True, "score_threshold": 0.2}
        assert use(kind, server.url, "cutout", picture(), options=options) == b"cut"
        use(kind, server.url, "cutout", picture())
    one, all_of_it = [parse_qs(urlsplit(request.path).query) for request in server.requests]
    assert one == {"render": ["cutout"], name: ["3"], "crop": ["true"], "score_threshold": ["0.2"]}
    assert all_of_it == {"render": ["cutout"]}


@both
def test_full_server_is_asked_again_when_it_says(kind: Kind) -> None:
    full = Step(status=429, fields={"Retry-After": "1"}, body=problem(429))
    with scripted(full, OK) as server:
        began = time.monotonic()
        use(kind, server.url, "segment", picture())
        assert time.monotonic() - began >= 1
    assert len(server.requests) == 2
    assert len(ids_of(server)) == 1


@both
def test_connection_that_breaks_off_is_made_anew_and_one_answer_comes(kind: Kind) -> None:
    with scripted(Step(closes=0), Step(closes=20), Step(closes=1), OK) as server:
        found = use(kind, server.url, "segment", [picture()])
    assert [len(one) for one in found] == [0]
    assert len(server.requests) == 4
    assert all(request.body == picture() for request in server.requests)
    assert len(ids_of(server)) == 1


@both
def test_refusal_is_raised_with_what_the_server_says(kind: Kind) -> None:
    with (
        scripted(Step(status=422, body=problem(422, "masks is 'x'"))) as server,
        pytest.raises(RefusedError, match="422 Refused: masks is 'x'") as caught,
    ):
        use(kind, server.url, "segment", picture())
    assert len(server.requests) == 1
    assert (caught.value.status, caught.value.request_id) == (422, "r1")


@both
def test_error_about_one_of_several_says_which(kind: Kind) -> None:
    with scripted(OK) as server, pytest.raises(ValueError, match="a picture is a path") as caught:
        use(kind, server.url, "segment", [picture(), 7], num_at_once=1)
    assert "picture 1" in "".join(caught.value.__notes__)


@both
@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(Step(pause_s=3), id="silent"),
        pytest.param(Step(byte_s=0.1), id="trickling"),
    ],
)
def test_slow_server_is_given_up_at_the_deadline(kind: Kind, slow: Step) -> None:
    with (
        scripted(slow) as server,
        pytest.raises(UnansweredError, match=r"no answer within 0\.5 s, in 1 try"),
    ):
        use(kind, server.url, "segment", picture(), deadline_s=0.5)
    [request] = server.requests
    assert 0 < float(request.headers["x-request-timeout"]) <= 0.5


@both
def test_server_that_is_not_there_is_sought_until_the_deadline(kind: Kind) -> None:
    with scripted(OK) as server:
        pass
    with pytest.raises(UnansweredError) as caught:
        use(kind, server.url, "segment", picture(), deadline_s=1)
    assert caught.value.num_tries > 1
    assert isinstance(caught.value.__cause__, httpx.ConnectError | TimeoutError)


@both
def test_waits_until_the_server_is_ready(kind: Kind) -> None:
    loading = Step(status=503, body=problem(503))
    with scripted(loading, loading, Step(body=b"{}")) as server:
        use(kind, server.url, "wait_until_ready")
    assert [request.path for request in server.requests] == ["/readyz"] * 3


@both
def test_models_are_those_of_the_answer(kind: Kind) -> None:
    with scripted(Step(body=b'{"models": [{"name": "small"}]}')) as server:
        assert use(kind, server.url, "models") == [{"name": "small"}]


@both
@pytest.mark.parametrize("body", [b"<html>", b'{"images": [{}]}', b"[]"])
def test_answer_of_some_other_server_is_told(kind: Kind, body: bytes) -> None:
    with scripted(Step(body=body)) as server, pytest.raises(ClientError, match="no answer of"):
        use(kind, server.url, "segment", picture())


def test_connections_are_kept() -> None:
    with scripted(OK) as server, Client(server.url) as client:
        for _ in range(3):
            client.segment(picture())
        [connection] = client._http._transport._pool.connections  # type: ignore[attr-defined]
        assert "Request Count: 3" in repr(connection)
