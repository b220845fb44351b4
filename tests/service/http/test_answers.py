from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from service_fakes import INSTANCE_MODEL, task_of

from service.http.answers import join_answers
from service.json_bytes import to_json


@dataclass
class Record:
    number: int = 1


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True], "b": {"c": "ü\n\x00\u2028"}, "d": (), "e": []},
        [0.1, 1e-7, 1e16, 1e300, -0.0, 5e-324, 123456789.123],
        [2**63, 2**70, -(2**70)],
        {1: "a key that is a number"},
        [[1.5, 2.0], [], [[3.0]], ["a", 4.0]],
        [1e308, 1e308],
        "text",
    ],
)
def test_json_means_what_it_meant(value: Any) -> None:
    assert json.loads(to_json(value)) == json.loads(json.dumps(value))


def test_json_is_compact_and_not_escaped() -> None:
    assert to_json({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "place",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: {"a": [{"b": (1, x)}]},
        lambda x: [1.0, [2.0, x], "a"],
        lambda x: [None, x],
    ],
)
def test_number_that_json_does_not_have_is_an_error(number: float, place: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(place(number))


def test_infinities_that_cancel_out_are_an_error() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json([float("inf"), -float("inf")])


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert to_json({"id": "a\ud800b"}) == b'{"id":"a?b"}'


@pytest.mark.parametrize("value", [{1, 2}, Record(), b"bytes"])
def test_what_is_no_json_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        to_json(value)


def test_answers_are_joined_in_order() -> None:
    body = json.loads(join_answers(task_of(), INSTANCE_MODEL, [b'{"n":0}', b'{"n":1}']))
    assert list(body) == ["model", "images"]
    assert body["model"]["name"] == INSTANCE_MODEL.name
    assert body["images"] == [{"n": 0}, {"n": 1}]
