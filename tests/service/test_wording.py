from __future__ import annotations

import pytest

from service.wording import quoted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 78 + "…"),
        ("x" * 10**6, "'" + "x" * 78 + "…"),
        ("\x00" * 100, "'" + "\\x00" * 19 + "\\x…"),
        (3, "3"),
        (True, "True"),
        (("bus", "cat"), "('bus', 'cat')"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
        ([[[[[[[[1]]]]]]]], "[[[[[[[...]]]]]]]"),
    ],
)
def test_value_is_cut_off_where_it_gets_long(value: object, expected: str) -> None:
    assert quoted(value) == expected


def test_values_of_values_are_cut_off_too() -> None:
    assert len(quoted([["x" * 10**6] * 10] * 10)) == 80
    assert len(quoted({"x" * 10**6: "y" * 10**6})) == 80
