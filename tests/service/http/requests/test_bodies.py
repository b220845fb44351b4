from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from service_fakes import INSTANCE_MODEL, FakeEngine, app_of, assert_problem, call, picture

from model.categories import Categories, Category
from model.prediction.options import PredictOptions
from service.http.requests.mistaken import hint

PICTURE = picture()
BASE64 = base64.b64encode(PICTURE).decode()


def post(engine: FakeEngine, body: Any = None, url: str = "/segment", **request: Any) -> Any:
    if body is not None:
        request["content"] = body if isinstance(body, bytes | str) else json.dumps(body)
        request.setdefault("headers", {"Content-Type": "application/json"})
    return call(app_of(engine), "POST", url, **request)


@pytest.mark.parametrize(
    "media_type",
    [
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/bmp",
        "image/tiff",
        "application/octet-stream",
        "Image/JPEG; charset=binary",
        "image/jpg",
        "image/pjpeg",
        "image/x-png",
        "image/tif",
        "binary/octet-stream",
    ],
)
def test_raw_body_is_one_image_whatever_its_type_says(media_type: str) -> None:
    engine = FakeEngine()
    answer = post(engine, PICTURE, headers={"Content-Type": media_type})

    assert answer.status_code == 200
    [received] = engine.jobs[0].pictures
    assert received.data == PICTURE
    assert received.id is None


def test_body_without_a_type_is_read_as_raw_bytes() -> None:
    engine = FakeEngine()
    assert post(engine, PICTURE, headers={}).status_code == 200
    assert engine.jobs[0].pictures[0].data == PICTURE


def test_body_in_chunks_is_put_together() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        yield PICTURE[10:]

    engine = FakeEngine()
    answer = post(engine, content=chunks(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    assert engine.jobs[0].pictures[0].data == PICTURE


def test_form_parts_come_in_order_with_their_file_names() -> None:
    engine = FakeEngine()
    second = picture(4, 4, "PNG")
    files = [
        ("image", ("a.jpg", PICTURE, "image/jpeg")),
        ("file", ("ü b.png", second, "image/png")),
        ("images", (None, PICTURE)),
        ("files", ("d.jpg", PICTURE)),
    ]
    answer = post(engine, files=files)

    assert answer.json()["images"] == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]
    received = engine.jobs[0].pictures
    assert [one.id for one in received] == ["a.jpg", "ü b.png", None, "d.jpg"]
    assert [one.data for one in received] == [PICTURE, second, PICTURE, PICTURE]


def test_options_of_a_form_are_its_fields() -> None:
    engine = FakeEngine()
    data = {"score_threshold": "0.5", "classes": ["bus", "17"], "masks": "none", "model": ""}
    assert post(engine, files={"image": PICTURE}, data=data).status_code == 200
    [job] = engine.jobs
    assert job.asked.masks == "none"
    assert job.asked.predict == PredictOptions(
        score_threshold=0.5, max_instances=100, category_ids=frozenset({6, 17}), masks=False
    )


@pytest.mark.parametrize(
    ("data", "url", "status", "mention"),
    [
        ({"score_treshold": "0.5"}, "/segment", 422, "unknown form field 'score_treshold'"),
        ({"score_threshold": "2"}, "/segment", 422, "score_threshold is '2'"),
        ({"masks": "none"}, "/segment?masks=rle", 422, "masks is given twice"),
        ({"classes": "bus"}, "/segment?classes=dog", 422, "classes is given twice"),
        ({"masks": b"\xff"}, "/segment", 400, "field 'masks' is not UTF-8"),
        ({"classes": ["bus"] * 201}, "/segment", 413, "201 fields"),
        ({"classes": ["bus"] * 300}, "/segment", 413, "301 parts"),
    ],
)
def test_unusable_field_of_a_form_is_refused(
    data: Any, url: str, status: int, mention: str
) -> None:
    engine = FakeEngine()
    assert_problem(post(engine, url=url, files={"image": PICTURE}, data=data), status, mention)
    assert engine.jobs == []


def test_file_that_is_called_like_an_option_is_refused() -> None:
    files = {"image": PICTURE, "masks": ("none", b"none")}
    assert_problem(post(FakeEngine(), files=files), 422, "a file called 'masks'")


@pytest.mark.parametrize("name", ["image[]", "images[]", "images[0]", "file[]", "files[12]"])
def test_part_of_a_list_is_an_image(name: str) -> None:
    engine = FakeEngine()
    assert post(engine, files=[(name, ("a.jpg", PICTURE))] * 2).status_code == 200
    assert [one.id for one in engine.jobs[0].pictures] == ["a.jpg", "a.jpg"]


@pytest.mark.parametrize("name", ["image[a]", "image[", "imagex", "xfile[]"])
def test_part_of_another_name_is_no_image(name: str) -> None:
    assert post(FakeEngine(), files=[(name, ("a.jpg", PICTURE))]).status_code == 422


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form's body, as a browser writes it: each part's file name and data."""
    lines = [
        f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        + data
        for name, data in parts
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"content": b"\r\n".join([*lines, b"--x--\r\n"]), "headers": headers}


def test_place_where_no_file_was_chosen_is_passed_over() -> None:
    engine = FakeEngine()
    assert post(engine, **form(("", b""), ("a.jpg", PICTURE))).status_code == 200
    assert [one.id for one in engine.jobs[0].pictures] == ["a.jpg"]
    assert_problem(post(engine, **form(("", b""))), 422, "holds no image")
    assert_problem(post(engine, **form(("a.jpg", b""))), 400, "image 0 ('a.jpg'): it is empty")


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        (json.dumps({"image": BASE64}).encode(), "Content-Type: application/json"),
        (b"\xef\xbb\xbf\n[]", "looks like JSON"),
        (BASE64.encode(), "looks like base64"),
        (f"data:image/jpeg;base64,{BASE64}".encode(), "is a data: URI"),
        (form(("a.jpg", PICTURE))["content"], "looks like a form"),
    ],
)
def test_body_that_was_sent_as_another_type_gets_a_hint(body: bytes, mention: str) -> None:
    for headers in ({}, {"Content-Type": "image/jpeg"}):
        assert_problem(post(FakeEngine(), body, headers=headers), 400, "image 0: it", mention)
    if not body.startswith(b"--"):
        assert_problem(post(FakeEngine(), files={"image": body}), 400, mention)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_image_gets_no_hint(kind: str) -> None:
    for width in range(1, 300, 23):
        assert hint(picture(width, 9, kind)) is None


@pytest.mark.parametrize(
    "body",
    [
        {"images": [{"data": BASE64, "id": "x"}]},
        {"image": {"data": f"data:image/jpeg;base64,{BASE64}", "id": "x"}},
        {"images": [{"data": f"DATA:image/png;charset=utf-8;BASE64,{BASE64}", "id": "x"}]},
        {"image": {"data": BASE64[:50] + "\r\n" + BASE64[50:], "id": "x"}},
    ],
)
def test_json_brings_base64_or_a_data_uri(body: dict[str, Any]) -> None:
    engine = FakeEngine()
    assert post(engine, body).status_code == 200
    [received] = engine.jobs[0].pictures
    assert (received.data, received.id) == (PICTURE, "x")


def test_json_image_may_be_the_bare_text() -> None:
    engine = FakeEngine()
    assert post(engine, {"images": [BASE64, BASE64]}).status_code == 200
    assert [one.data for one in engine.jobs[0].pictures] == [PICTURE, PICTURE]


def test_json_brings_options_beside_the_images() -> None:
    engine = FakeEngine()
    body = {
        "image": BASE64,
        "score_threshold": 0.5,
        "max_instances": 7,
        "classes": ["bus", 17],
        "masks": "none",
        "model": None,
    }
    assert post(engine, body).status_code == 200
    [job] = engine.jobs
    assert job.asked.masks == "none"
    assert job.asked.predict == PredictOptions(
        score_threshold=0.5, max_instances=7, category_ids=frozenset({6, 17}), masks=False
    )


@pytest.mark.parametrize(
    ("wanted", "ids"), [(2, {2}), ("2", {3}), ([2, "2"], {2, 3}), (["2", 1], {3, 1}), ("3", {3})]
)
def test_number_is_an_id_where_classes_are_called_by_digits(wanted: Any, ids: set[int]) -> None:
    things = (Category(id=1, name="0"), Category(id=2, name="1"), Category(id=3, name="2"))
    digits = Categories(name="digits", things=things)
    engine = FakeEngine([replace(INSTANCE_MODEL, categories=digits)])
    assert post(engine, {"image": BASE64, "classes": wanted}).status_code == 200
    assert engine.jobs[0].asked.predict.category_ids == ids


@pytest.mark.parametrize(
    ("body", "status", "mention"),
    [
        ('{"images": [', 400, "at character 12"),
        (b'{"image": "\xff"}', 400, "UTF-8"),
        ("[" * 100_000, 400, "not valid JSON"),
        ("[]", 400, "not an object"),
        ({}, 422, "no 'images'"),
        ({"images": {}}, 422, "not a list"),
        ({"images": []}, 422, "no image"),
        ({"images": [3]}, 422, "image 0: it is not an object"),
        ({"image": BASE64, "images": [BASE64]}, 422, "both"),
        ({"images": [{"dat": BASE64}]}, 422, "the nearest known one is 'data'"),
        ({"images": [BASE64, {"id": "b"}]}, 422, "image 1 ('b'): it has no 'data'"),
        ({"image": {"data": BASE64, "id": 3}}, 422, "id is 3"),
        ({"images": [BASE64, {"data": "@@@@", "id": "q"}]}, 400, "image 1 ('q')"),
        ({"image": "data:image/jpeg,abcd"}, 400, "base64"),
        ({"image": "ab-_"}, 400, "web-safe base64"),
        ({"image": "ab-_c"}, 400, "web-safe base64"),
        ({"image": "abcde"}, 400, "padding is missing"),
        ({"image": "ab\r\ncde"}, 400, "padding is missing"),
        ({"image": BASE64[:40] + " " + BASE64[41:]}, 400, "a space in its base64"),
        ({"image": BASE64[:40] + " " + BASE64[40:]}, 400, "a space in its base64"),
        ({"image": BASE64[:40] + "%2B" + BASE64[40:]}, 400, "percent escapes"),
        ({"image": "data:image/jpeg;base64"}, 400, "base64"),
        ({"image": BASE64, "masc": "rle"}, 422, "the nearest known one is 'masks'"),
        ({"image": BASE64, "imagess": []}, 422, "the nearest known one is 'images'"),
        ('{"image": "AAAA", "masks": "rle", "masks": "none"}', 422, "'masks' twice"),
    ],
)
def test_unusable_json_is_refused(body: Any, status: int, mention: str) -> None:
    engine = FakeEngine()
    assert_problem(post(engine, body), status, mention)
    assert engine.jobs == []


def test_image_by_url_is_403() -> None:
    answer = post(FakeEngine(), {"images": [BASE64, {"url": "https://host/a.jpg", "id": "u"}]})
    body = assert_problem(answer, 403, "switched off")
    assert body["image"] == {"index": 1, "id": "u"}


@pytest.mark.parametrize("media_type", ["text/plain", "image/gif", "application/xml"])
def test_other_media_types_are_415(media_type: str) -> None:
    answer = post(FakeEngine(), PICTURE, headers={"Content-Type": media_type})
    assert_problem(answer, 415, f"'{media_type}'", "image/jpeg")


def test_curl_without_a_type_is_told_how_to_give_one() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert_problem(post(FakeEngine(), PICTURE, headers=headers), 415, "with curl")


def test_compressed_body_is_415() -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    assert_problem(post(FakeEngine(), PICTURE, headers=headers), 415, "'gzip'")


def test_a_name_of_an_image_that_is_no_name_is_refused() -> None:
    long = "x" * 1001
    answer = post(FakeEngine(), {"images": [BASE64, {"data": BASE64, "id": long}]})
    body = assert_problem(answer, 422, "image 1: its id has 1001 characters", "at most 1000")
    assert len(body["detail"]) < 200

    answer = call(app_of(), "POST", "/segment", files={"image": (long, PICTURE)})
    assert_problem(answer, 422, "image 0: its file name has 1001 characters")


def test_a_long_name_comes_back_whole() -> None:
    engine = FakeEngine()
    assert post(engine, {"image": {"data": BASE64, "id": "é" * 1000}}).status_code == 200
    assert engine.jobs[0].pictures[0].id == "é" * 1000
