from __future__ import annotations

from typing import Any

import httpx
import pytest
from service_fakes import FakeEngine, app_of, assert_problem, call, post_picture

from service.errors import QueueFullError

PAGE = "https://page.example"
QUESTION = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-api-key",
}


def ask(path: str = "/segment", origin: str = PAGE, **settings: Any) -> httpx.Response:
    return call(app_of(**settings), "OPTIONS", path, headers={**QUESTION, "Origin": origin})


@pytest.mark.parametrize("origins", [PAGE, f"https://other.example,{PAGE}", "*"])
def test_browser_may_ask_for_pages_that_are_named(origins: str) -> None:
    answer = ask(cors_origins=origins, keys="secret-key")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (PAGE, "*")
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert "x-request-id" in answer.headers


def test_question_of_another_page_is_answered_with_no() -> None:
    answer = ask(origin="https://evil.example", cors_origins=PAGE)
    assert_problem(answer, 403, "'https://evil.example'", "cors_origins")
    assert "access-control-allow-origin" not in answer.headers


def test_nobody_may_ask_unless_the_operator_says_so() -> None:
    answer = ask()
    assert_problem(answer, 405, "OPTIONS")
    assert "access-control-allow-origin" not in answer.headers
    answer = post_picture(FakeEngine(), headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_answer_may_be_read_by_the_page_with_its_header_fields() -> None:
    answer = post_picture(FakeEngine(), headers={"Origin": PAGE}, cors_origins=PAGE)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"]
    assert {"X-Request-ID", "Server-Timing", "Retry-After"} == set(exposed.split(", "))


@pytest.mark.parametrize(
    ("outcome", "status"), [(QueueFullError("full", retry_after_s=3), 429), (RuntimeError(), 500)]
)
def test_error_may_be_read_too(outcome: Exception, status: int) -> None:
    engine = FakeEngine(outcome=outcome)
    answer = post_picture(engine, headers={"Origin": PAGE}, cors_origins=PAGE)
    assert_problem(answer, status)
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_answer_is_not_for_another_page() -> None:
    answer = post_picture(
        FakeEngine(), headers={"Origin": "https://evil.example"}, cors_origins=PAGE
    )
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_options_that_is_no_question_is_refused_as_before() -> None:
    app = app_of(cors_origins=PAGE)
    assert_problem(call(app, "OPTIONS", "/segment", headers={"Origin": PAGE}), 405)
