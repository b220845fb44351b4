from __future__ import annotations

import logging

from service.logs import FieldFormatter, current_request_id


def line(level: int = logging.INFO, **fields: object) -> str:
    record = logging.makeLogRecord(
        {"name": "service.x", "levelno": level, "levelname": "INFO", "msg": "request", **fields}
    )
    return FieldFormatter().format(record)


def test_fields_follow_the_message() -> None:
    assert line(code=200, ms=12.3456).endswith("INFO    service.x: request code=200 ms=12.35")


def test_value_with_blanks_or_control_characters_is_quoted() -> None:
    assert line(path="/a b").endswith("path='/a b'")
    assert line(path="/a\nINFO forged").endswith(r"path='/a\nINFO forged'")


def test_request_id_is_on_every_line_of_a_request() -> None:
    token = current_request_id.set("abc")
    try:
        assert line().endswith("request request_id=abc")
    finally:
        current_request_id.reset(token)
    assert line().endswith("request")
