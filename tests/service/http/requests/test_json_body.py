from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from service_fakes import FakeEngine, app_of, assert_problem, call, picture

from service.http.requests.json_body import read_json

PICTURE = picture()
BASE64 = base64.b64encode(PICTURE).decode()
BAD = base64.b64encode(b"no image").decode()


def post(engine: FakeEngine, body: Any, **settings: Any) -> Any:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    return call(app_of(engine, **settings), "POST", "/segment", content=content, headers=headers)


@pytest.mark.parametrize("image", ["@@@@", 3, {"dat": 1}, None])
def test_images_are_counted_before_any_is_read(image: Any) -> None:
    answer = post(FakeEngine(), {"images": [image] * 17})
    assert_problem(answer, 413, "17 images", "at most 16")


def test_values_are_counted_before_any_is_made() -> None:
    # Read, each would take hundreds of bytes. This is no JSON even, which nobody finds out.
    for mark in ("[", "{", ","):
        answer = post(FakeEngine(), '{"images": [' + mark * 100_400)
        assert_problem(answer, 413, "more than 100320 values", "at most 16 images")


def test_number_of_values_leaves_room_for_as_many_images_as_are_allowed() -> None:
    text = json.dumps({"images": [{"data": "AAAA", "url": None, "id": ","}] * 40_000}).encode()
    assert len(read_json(text, max_images=40_000, takes_urls=False).images) == 40_000


def test_null_counts_as_absent() -> None:
    for body in (
        {"image": None, "images": [BASE64], "classes": None},
        {"image": BASE64, "images": None, "masks": None},
        {"image": {"data": BASE64, "url": None, "id": None}},
    ):
        assert post(FakeEngine(), body).status_code == 200
    assert_problem(post(FakeEngine(), {"image": None, "images": None}), 422, "no 'images'")


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        ({"imagess": [BASE64]}, "unknown JSON member 'imagess'; the nearest known one is 'images'"),
        ({"imag": BASE64}, "unknown JSON member 'imag'; the nearest known one is 'image'"),
        ({"imagess": None, "image": BASE64}, "'imagess'"),
        ({"images": [BAD], "masc": "rle"}, "'masc'"),
    ],
)
def test_unknown_member_is_named_before_what_is_missing_or_bad(body: Any, mention: str) -> None:
    assert_problem(post(FakeEngine(), body), 422, mention)


@pytest.mark.parametrize(
    ("image", "image_id"),
    [
        ({"dat": BASE64, "id": "b"}, "b"),
        ({"data": BASE64, "id": 3}, None),
        ({"data": BASE64, "id": "x" * 1001}, None),
        ({"id": "b"}, "b"),
        (3, None),
        (None, None),
    ],
)
def test_error_about_an_image_points_at_it(image: Any, image_id: str | None) -> None:
    body = assert_problem(post(FakeEngine(), {"images": [BASE64, image]}), 422, "image 1")
    assert body["image"] == {"index": 1, "id": image_id}


@pytest.mark.parametrize("second", [{"dat": 1}, {"id": 3}, "@@@@", BAD, 3])
@pytest.mark.parametrize(("first", "status"), [(BAD, 400), ("@@@@", 400), ({"dat": 1}, 422)])
def test_first_bad_image_is_named_whatever_is_wrong_with_it(
    first: Any, status: int, second: Any
) -> None:
    body = assert_problem(post(FakeEngine(), {"images": [BASE64, first, second]}), status)
    assert body["image"] == {"index": 1, "id": None}


def test_long_id_is_cut_off_in_the_sentence_and_whole_beside_it() -> None:
    body = assert_problem(post(FakeEngine(), {"image": {"data": BAD, "id": "i" * 1000}}), 400)
    assert len(body["detail"]) < 300
    assert body["image"]["id"] == "i" * 1000
