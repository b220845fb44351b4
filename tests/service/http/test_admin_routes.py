from __future__ import annotations

import logging
from pathlib import Path

import pytest
from service_fakes import FakeEngine, app_of, assert_problem, call

from service.engine import LoadError


def test_reload_loads_anew_and_answers_with_the_models() -> None:
    engine = FakeEngine()
    answer = call(app_of(engine, admin=True), "POST", "/admin/reload")
    assert answer.status_code == 200
    assert [model["name"] for model in answer.json()["models"]] == ["R_50_3x", "Panoptic/R_50_1x"]
    assert engine.num_reloads == 1


def test_reload_is_404_unless_the_operator_wants_it() -> None:
    engine = FakeEngine()
    assert_problem(call(app_of(engine), "POST", "/admin/reload"), 404)
    assert engine.num_reloads == 0


def test_reload_asks_for_a_key_where_there_are_keys() -> None:
    engine = FakeEngine()
    app = app_of(engine, admin=True, keys=("secret",))
    assert_problem(call(app, "POST", "/admin/reload"), 401)
    assert engine.num_reloads == 0
    headers = {"X-API-Key": "secret"}
    assert call(app, "POST", "/admin/reload", headers=headers).status_code == 200


def test_reload_that_fails_is_409_and_only_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine()
    engine.reload_outcome = LoadError("no such file: /secret/place")
    answer = call(app_of(engine, admin=True), "POST", "/admin/reload")
    assert_problem(answer, 409, "old goes on serving")
    assert "/secret/place" not in answer.text
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert vars(record)["why"] == "no such file: /secret/place"


def test_reload_while_loading_is_503() -> None:
    engine = FakeEngine((), unready_reason="the model is still loading")
    answer = call(app_of(engine, admin=True), "POST", "/admin/reload")
    assert_problem(answer, 503, "still loading")
    assert engine.num_reloads == 0


def test_reload_reads_the_keys_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    app = app_of(admin=True, keys_file=path)
    path.write_text("new")
    answer = call(app, "POST", "/admin/reload", headers={"X-API-Key": "old"})
    assert answer.status_code == 200
    statuses = [
        call(app, "GET", "/models", headers={"X-API-Key": key}).status_code
        for key in ("old", "new")
    ]
    assert statuses == [401, 200]


def test_reload_that_fails_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    engine = FakeEngine()
    engine.reload_outcome = LoadError("no such file")
    app = app_of(engine, admin=True, keys_file=path)
    path.write_text("new")
    old, new = {"X-API-Key": "old"}, {"X-API-Key": "new"}
    assert_problem(call(app, "POST", "/admin/reload", headers=old), 409)
    statuses = [call(app, "GET", "/models", headers=key).status_code for key in (old, new)]
    assert statuses == [200, 401]


def test_reload_of_keys_that_cannot_be_read_leaves_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    engine = FakeEngine()
    app = app_of(engine, admin=True, keys_file=path)
    path.write_text("# none\n")
    answer = call(app, "POST", "/admin/reload", headers={"X-API-Key": "old"})
    problem = assert_problem(answer, 409, "old goes on serving")
    assert str(path) not in problem["detail"]
    assert engine.num_reloads == 0
