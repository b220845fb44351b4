from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from service_fakes import FakeEngine, app_of, call, post_picture
from starlette.requests import Request

from service.watch.logs import FieldFormatter, JsonFormatter, current_request_id, logged_as
from service.watch.request_context import context_of

# Logs as the server and its libraries do, in a process whose logging nobody else configures.
LOGGING = """
import logging, sys, warnings
from service.watch.logs import configure_logging
configure_logging("info", "json", worker=sys.argv[1] or None)
logging.getLogger("service.x").debug("too little to tell")
logging.getLogger("service.x").info("request", extra={"code": 200})
logging.getLogger("uvicorn.error").info("Started server process")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
warnings.warn("old", stacklevel=1)
"""


def record(level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": "service.x",
            "levelno": level,
            "levelname": "INFO",
            "msg": "request",
            "created": 1700000000.25,
            **fields,
        }
    )


def line(**fields: object) -> str:
    return FieldFormatter().format(record(**fields))


def members(**fields: object) -> dict[str, Any]:
    formatted = JsonFormatter().format(record(**fields))
    assert "\n" not in formatted
    parsed: dict[str, Any] = json.loads(formatted, parse_constant=pytest.fail)
    return parsed


def logged_by_process(worker: str = "") -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING, worker], capture_output=True, text=True, check=True
    )
    return [json.loads(text) for text in done.stderr.splitlines()]


def test_fields_follow_the_message() -> None:
    assert line(code=200, ms=12.3456).endswith("INFO    service.x: request code=200 ms=12.35")


def test_value_with_blanks_or_control_characters_is_quoted() -> None:
    assert line(path="/a b").endswith("path='/a b'")
    assert line(path="/a\nINFO forged").endswith(r"path='/a\nINFO forged'")


def test_request_id_is_on_every_line_of_a_request() -> None:
    with logged_as("abc"):
        assert line().endswith("request request_id=abc")
    assert line().endswith("request")


def test_trace_is_on_every_line_of_a_request_that_has_one() -> None:
    with logged_as("abc", "0af7"):
        assert line().endswith("request request_id=abc trace_id=0af7")
        assert members()["trace_id"] == "0af7"


def test_ids_of_the_request_around_hold_again_afterwards() -> None:
    with logged_as("outer"):
        with logged_as("inner"):
            assert current_request_id.get() == "inner"
        assert current_request_id.get() == "outer"


def test_json_line_has_time_level_logger_message_and_fields() -> None:
    assert members(code=200, ms=12.3456789) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "service.x",
        "message": "request",
        "code": 200,
        "ms": 12.3457,
    }


def test_json_line_has_the_request_id() -> None:
    with logged_as("abc"):
        assert members()["request_id"] == "abc"


def test_field_cannot_forge_another_member() -> None:
    forged = members(level="DEBUG", time="never")
    assert (forged["level"], forged["time"]) == ("INFO", "2023-11-14T22:13:20.250Z")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("\ud800 é", "\ud800 é"),
        ("/a\nb", "/a\nb"),
        ((1, 2), [1, 2]),
        (ValueError("x"), "x"),
    ],
)
def test_json_line_takes_any_value(value: object, told: object) -> None:
    assert members(value=value)["value"] == told


def test_json_line_is_ascii_whatever_the_terminal() -> None:
    assert JsonFormatter().format(record(path="/é\ud800")).isascii()


def test_exception_is_a_member_of_the_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        found = members(exc_info=sys.exc_info())
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: broken")


def test_libraries_log_their_warnings_in_the_same_form() -> None:
    lines = logged_by_process()
    assert [(entry["logger"], entry["message"]) for entry in lines[:2]] == [
        ("service.x", "request"),
        ("uvicorn.error", "Invalid HTTP request received."),
    ]
    assert lines[2]["logger"] == "py.warnings"
    assert len(lines) == 3
    assert "worker" not in lines[0]


def test_every_line_of_a_worker_names_its_device() -> None:
    assert {entry["worker"] for entry in logged_by_process("cuda:1")} == {"cuda:1"}


def test_request_leaves_one_line_with_its_route_code_and_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service")
    post_picture(FakeEngine(), "/segment")
    [told] = caplog.records
    fields = vars(told)
    assert (told.message, fields["method"], fields["route"]) == ("request", "POST", "/segment")
    assert fields["code"] == 200
    assert fields["ms"] > 0
    assert fields["queue_ms"] == pytest.approx(1.0)  # what the engine said
    assert "path" not in fields


def test_line_tells_how_many_images_a_request_brought(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service")
    app = app_of()

    @app.get("/three")
    async def three(request: Request) -> None:
        context_of(request).num_images = 3

    call(app, "GET", "/three")
    assert vars(caplog.records[0])["images"] == 3


def test_path_is_told_where_the_route_does_not_say_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service")
    call(app_of(), "GET", "/models/R_50_3x")
    call(app_of(), "GET", "/" + "a" * 5000)
    known, unknown = map(vars, caplog.records)
    assert (known["route"], known["path"]) == ("/models/{name:path}", "/models/R_50_3x")
    assert (unknown["route"], unknown["path"]) == ("(none)", "/" + "a" * 199)


def test_probes_leave_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service")
    for url in ("/healthz", "/readyz", "/metrics"):
        call(app_of(), "GET", url)
    assert not caplog.records


def test_no_line_has_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither query strings, nor header fields, nor bodies."""
    caplog.set_level(logging.DEBUG)
    app = app_of()
    call(
        app,
        "POST",
        "/segment?token=secret-1",
        headers={"Authorization": "Bearer secret-2", "X-API-Key": "secret-3"},
        content=b"secret-4",
    )
    told = [FieldFormatter().format(entry) for entry in caplog.records if "service" in entry.name]
    assert len(told) == 1
    assert "secret" not in told[0]
