from __future__ import annotations

import pytest

from service.http.requests.negotiation import JPEG, PNG, picture_type, time_allowed_s


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, None),
        ("*/*", None),
        ("application/json", None),
        ("text/html, */*;q=0.8", None),
        ("image/avif,image/webp,image/*,*/*;q=0.8", None),
        ("image/png, application/json;q=0.1", None),
        ("text/html", None),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/jpeg", JPEG),
        ("image/*", JPEG),
        ("image/png;q=0.5, image/jpeg;q=0.9", JPEG),
        ("image/png;q=0.9, image/jpeg;q=0.5", PNG),
        ("image/png, application/json;q=0", PNG),
    ],
)
def test_accept_asks_for_a_picture_only_where_it_rules_json_out(
    accept: str | None, expected: str | None
) -> None:
    assert picture_type(None, accept) == expected


def test_explicit_render_decides() -> None:
    assert picture_type("json", "image/png") is None
    assert picture_type("overlay", "application/json") == JPEG
    assert picture_type("overlay", None) == JPEG
    assert picture_type("overlay", "image/png, */*;q=0.5") == PNG


def test_shorter_of_two_deadlines_counts() -> None:
    assert time_allowed_s(None, 30) == 30
    assert time_allowed_s("2.5", 30) == 2.5
    assert time_allowed_s("inf", 30) == 30
