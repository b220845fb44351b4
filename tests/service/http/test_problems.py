from __future__ import annotations

import logging

import pytest
from service_fakes import FakeEngine, app_of, assert_problem, call, post_picture

from service.errors import KINDS, ClientGoneError, ServiceError


def test_unknown_route_is_404_naming_the_nearest() -> None:
    answer = call(app_of(), "POST", "/segmnt")
    assert_problem(answer, 404, "'/segmnt'", "/segment")


@pytest.mark.parametrize(
    ("guess", "route"),
    [
        ("/health/ready", "/readyz"),
        ("/ready", "/readyz"),
        ("/health", "/healthz"),
        ("/health/live", "/healthz"),
        ("/livez", "/healthz"),
        ("/ping", "/healthz"),
        ("/v1/models", "/models"),
        ("/v2/models/small/infer", "/segment"),
        ("/v1/models/small:predict", "/segment"),
        ("/predict", "/segment"),
        ("/invocations", "/segment"),
        ("/api/v1/segment", "/segment"),
        ("/segment/", "/segment"),
        ("/v1/panoptic-segmentation", "/panoptic"),
        ("/panoptc", "/panoptic"),
        ("/stats/prometheus", "/metrics"),
        ("/swagger/index.html", "/docs"),
        ("/redoc", "/docs"),
        ("/openapi.yaml", "/openapi.json"),
        ("/HEALTH", "/healthz"),
        ("/upload", "/segment"),
        ("/masks", "/segment"),
        ("/version", "/models"),
    ],
)
def test_other_servers_name_for_a_route_gets_ours(guess: str, route: str) -> None:
    answer = call(app_of(), "GET", guess)
    assert_problem(answer, 404)
    assert answer.json()["detail"].endswith(f"the nearest one is {route}")


def test_wrong_method_is_405_naming_the_right_one() -> None:
    answer = call(app_of(), "GET", "/segment")
    assert_problem(answer, 405, "POST")
    assert answer.headers["allow"] == "POST"


def test_trailing_slash_is_another_route() -> None:
    assert_problem(call(app_of(), "POST", "/segment/"), 404, "/segment")


def test_defect_is_500_logged_with_the_request_id_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine(outcome=RuntimeError("secret /etc/path"))
    with caplog.at_level(logging.ERROR):
        answer = post_picture(engine, headers={"X-Request-ID": "abc-1"})

    body = assert_problem(answer, 500)
    assert body["request_id"] == "abc-1"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    [record] = caplog.records
    assert record.getMessage() == "request failed"
    assert record.exc_info is not None


def test_caller_keeps_a_sane_request_id() -> None:
    answer = call(app_of(), "GET", "/healthz", headers={"X-Request-ID": "a" * 128})
    assert answer.headers["x-request-id"] == "a" * 128


@pytest.mark.parametrize("wanted", ["", "a" * 129, "with space", "tab\t", "ümlaut"])
def test_other_request_ids_are_replaced(wanted: str) -> None:
    headers = {"X-Request-ID": wanted.encode("latin-1")}
    first = call(app_of(), "GET", "/healthz", headers=headers).headers["x-request-id"]
    second = call(app_of(), "GET", "/healthz", headers=headers).headers["x-request-id"]
    assert first != wanted
    assert first != second


def test_every_answer_tells_its_timing() -> None:
    assert post_picture(FakeEngine()).headers["server-timing"].startswith("read;dur=")
    assert "forward;dur=250.00" in post_picture(FakeEngine()).headers["server-timing"]
    assert "total;dur=" in call(app_of(), "GET", "/nowhere").headers["server-timing"]


def test_no_two_kinds_of_error_share_a_name() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
    # All but the one that nobody is left to read.
    assert set(KINDS) == set(ServiceError.__subclasses__()) - {ClientGoneError}
