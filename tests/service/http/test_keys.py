from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from service_fakes import JPEG_BODY, FakeEngine, app_of, assert_problem, call, picture

from service.keyring import Keyring


def get(path: str, headers: dict[str, str] | None = None, **settings: object) -> httpx.Response:
    return call(app_of(keys=("first", "second"), **settings), "GET", path, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first"},
        {"Authorization": "bearer second"},
        {"X-API-Key": "second"},
        {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": "first"},
        {"Authorization": "Bearer of-another-service", "X-API-Key": "first"},
        {"Authorization": "Bearer first", "X-API-Key": "of-another-service"},
    ],
)
def test_any_of_the_keys_opens(headers: dict[str, str]) -> None:
    assert get("/models", headers).status_code == 200


@pytest.mark.parametrize("headers", [None, {"Authorization": "Basic first"}])
def test_missing_key_is_401_that_says_how_to_send_one(headers: dict[str, str] | None) -> None:
    answer = get("/models", headers)
    assert_problem(answer, 401, "Authorization: Bearer", "X-API-Key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer firs"},
        {"Authorization": "Bearer firstsecond"},
        {"X-API-Key": "First"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer wrong", "X-API-Key": "false"},
        {"X-API-Key": "ключ".encode().decode("latin-1")},
    ],
)
def test_wrong_key_is_401_and_is_not_repeated(headers: dict[str, str]) -> None:
    answer = get("/models", {name: value.encode("latin-1") for name, value in headers.items()})  # type: ignore[misc]
    problem = assert_problem(answer, 401, "not known")
    assert "wrong" not in problem["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_probes_and_documentation_stay_open(path: str) -> None:
    assert get(path).status_code == 200


def test_metrics_can_be_guarded_too() -> None:
    assert get("/metrics", keys_guard_metrics=True).status_code == 401
    key = {"X-API-Key": "first"}
    assert get("/metrics", key, keys_guard_metrics=True).status_code == 200
    assert get("/healthz", keys_guard_metrics=True).status_code == 200


@pytest.mark.parametrize("path", ["/segment", "/panoptic"])
def test_request_without_a_key_reaches_no_engine(path: str) -> None:
    engine = FakeEngine()
    app = app_of(engine, keys=("first",))
    answer = call(app, "POST", path, content=picture(), headers=JPEG_BODY)
    assert answer.status_code == 401
    assert engine.jobs == []
    metrics = call(app, "GET", "/metrics").text
    assert f'blendmask_requests_total{{code="401",method="POST",route="{path}"}} 1.0' in metrics


def test_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    get("/models", {"Authorization": "Bearer first"})
    get("/models", {"X-API-Key": "not-a-key"})
    assert caplog.records
    assert "first" not in caplog.text
    assert "not-a-key" not in caplog.text


def test_without_keys_everything_is_open() -> None:
    assert call(app_of(), "GET", "/models").status_code == 200
    assert not Keyring().is_on


def test_file_of_keys_is_read_again_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# those of the cameras\n\n  one \ntwo\n")
    ring = Keyring(["given"], path)
    assert [ring.opens(key) for key in ("given", "one", "two", "# those of the cameras", "")] == [
        *[True] * 3,
        *[False] * 2,
    ]
    path.write_text("three\n")
    assert not ring.opens("three")
    keys = ring.read()
    assert not ring.opens("three")
    ring.use(keys)
    assert [ring.opens(key) for key in ("given", "one", "three")] == [True, False, True]


@pytest.mark.parametrize(
    ("content", "mention"),
    [(b"", "no key"), (b"# none\n", "no key"), (b"two words\n", "no key"), (b"\xff\n", "no key")],
)
def test_file_that_holds_no_keys_is_refused_and_the_old_ones_stay(
    tmp_path: Path, content: bytes, mention: str
) -> None:
    path = tmp_path / "keys"
    path.write_text("one")
    ring = Keyring((), path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=mention):
        ring.read()
    assert ring.opens("one")
    with pytest.raises(ValueError, match=mention):
        Keyring((), path)
