from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from masks_of_pictures import MASKS, native_image
from service_fakes import app_of, assert_problem, call, until

from service.http.openapi import examples
from service.http.openapi.schemas import PanopticAnswer, SegmentAnswer
from service.http.tools import convert_routes

MODEL = {"name": "R_50_3x", "weights": "sha256:0f3a", "categories": "coco"}


def answer_of(**images: Any) -> dict[str, Any]:
    members = images or {"a.jpg": MASKS}
    return {
        "model": MODEL,
        "images": [native_image(masks, name) for name, masks in members.items()],
    }


def convert(body: Any, query: str = "", **settings: Any) -> httpx.Response:
    return call(app_of(**{"convert": True, **settings}), "POST", f"/convert?{query}", json=body)


def test_native_answer_goes_there_and_back() -> None:
    sent = answer_of()
    rings = convert(sent, "masks=polygon").json()
    assert rings["images"][0]["instances"][1]["holes"]
    assert convert(rings).json() == sent
    pngs = convert(rings, "masks=png").json()
    SegmentAnswer.model_validate(pngs)
    assert convert(pngs).json() == sent


def test_answers_of_several_images_become_another_tools() -> None:
    two = answer_of(a={"disc": MASKS["disc"]}, b={"pixel": MASKS["pixel"]})
    rows = convert(two, "format=coco").json()
    assert [row["image_id"] for row in rows] == ["a", "b"]
    told = convert(two, "format=labelstudio&masks=polygon&tolerance=2").json()
    assert told["model_version"] == "R_50_3x sha256:0f3a"
    assert len(told["results"]) == 2


def test_example_of_the_document_can_be_converted() -> None:
    [shape] = convert(examples.CONVERSION, "format=cvat").json()
    assert shape["mask"] == [1] * 12 + [1, 1, 4, 3]
    [row] = convert(examples.CONVERSION, "format=coco").json()
    assert (row["score"], row["bbox"]) == (1.0, [1, 1, 4, 3])


def test_category_without_a_name_is_called_by_its_id() -> None:
    image = {**examples.CONVERSION["images"][0]}
    image["instances"] = [{**image["instances"][0], "category": ""}]
    [shape] = convert({"images": [image]}, "format=cvat").json()
    assert shape["label"] == "6"


@pytest.mark.parametrize(
    ("query", "mention"),
    [
        ("maks=rle", "nearest known one is 'masks'"),
        ("format=xml", "format is 'xml'; it must be 'native'"),
        ("format=coco&masks=polygon", "format=coco of instances cannot tell; use rle, none"),
        ("format=fiftyone&masks=png", "use rle, none"),
        ("tolerance=-1", "greater than or equal to 0"),
        ("tolerance=nan", "finite"),
        ("masks=rle&masks=png", "given twice"),
    ],
)
def test_unusable_option_is_refused(query: str, mention: str) -> None:
    assert_problem(convert(answer_of(), query), 422, mention)


def spoilt(**members: Any) -> dict[str, Any]:
    body = answer_of(a={"disc": MASKS["disc"]})
    body["images"][0] |= members
    return body


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        ({}, "images: Field required"),
        ({"images": []}, "images: List should have at least 1 item"),
        ([], "the body: Input should be an object"),
        (spoilt(width=0), "images.0.width"),
        (spoilt(extra=1), "images.0.extra: Extra inputs"),
        (spoilt(segments=[]), "either 'instances' or 'segments'"),
        (spoilt(instances=None), "either 'instances' or 'segments'"),
        (spoilt(png="AAAA"), "goes with 'segments'"),
        (spoilt(width=30), "image 0: row 0: its size is [23, 31], not [23, 30]"),
    ],
)
def test_what_is_no_native_answer_is_refused_by_where(body: Any, mention: str) -> None:
    assert_problem(convert(body), 422, mention)


def test_segment_without_a_mask_has_box_and_area_or_is_refused() -> None:
    segment = {"id": 1, "category_id": 3, "category": "road", "isthing": False,
               "bbox": [0, 0, 2, 2]}  # fmt: skip
    image = {"id": None, "width": 4, "height": 4, "segments": [segment]}
    for query in ("", "format=coco&masks=none", "format=cvat"):
        assert_problem(convert({"images": [image]}, query), 422, "neither a mask nor an area")
    image["segments"] = [{**segment, "area": 4}]
    answer = convert({"images": [image]}).json()
    PanopticAnswer.model_validate(answer)
    [annotation] = convert({"images": [image]}, "format=coco&masks=none").json()["annotations"]
    assert annotation["segments_info"][0]["area"] == 4


def test_missing_box_of_a_segment_is_whole() -> None:
    mask = {"size": [4, 4], "counts": [5, 2, 9]}
    segment = {"id": 1, "category_id": 3, "isthing": False, "segmentation": mask}
    image = {"id": None, "width": 4, "height": 4, "segments": [segment]}
    answer = convert({"images": [image]})
    PanopticAnswer.model_validate_json(answer.content)
    assert '"bbox":[1,1,1,2]' in answer.text


def test_truth_is_no_number() -> None:
    body = answer_of(a={"disc": MASKS["disc"]})
    body["images"][0]["instances"][0]["bbox"] = [0, 0, 1, True]
    assert_problem(convert(body), 422, "images.0.instances.0.bbox.3")


def test_tasks_are_not_mixed() -> None:
    body = answer_of(a={"disc": MASKS["disc"]})
    body["images"].append({"id": None, "width": 2, "height": 2, "segments": []})
    assert_problem(convert(body), 422, "send them apart")


def test_body_of_another_kind_is_refused() -> None:
    app = app_of(convert=True)
    assert_problem(call(app, "POST", "/convert", content=b"{"), 415, "application/json")
    broken = call(
        app, "POST", "/convert", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert_problem(broken, 400, "not valid JSON")


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_problem(convert(answer_of(), max_pixels=712), 413, "31×23", "712 pixels")
    assert_problem(convert(answer_of(), max_side=30), 413, "30 a side")
    assert_problem(convert(answer_of(), max_body_bytes=100), 413, "at most 100")
    monkeypatch.setattr(convert_routes, "MAX_PIXELS", 3000)
    assert_problem(convert(answer_of()), 413, "more than 3000 pixels to work on")
    monkeypatch.setattr("model.answers.dialects.cvat.MAX_CROP_PIXELS", 5)
    assert_problem(convert(spoilt(), "format=cvat"), 413, "image 0: the boxes of its masks")


def test_conversion_is_off_by_default() -> None:
    assert_problem(call(app_of(), "POST", "/convert", json=answer_of()), 404)
    document = call(app_of(), "GET", "/openapi.json").json()
    assert "/convert" not in document["paths"]


def test_conversion_that_nobody_waits_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work_on(*_: object, spend: Any, **__: object) -> None:
        begun.set()
        try:
            while True:
                spend(0)
        finally:
            ended.set()

    monkeypatch.setattr(convert_routes, "convert_image", work_on)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app_of(convert=True))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            answer = await client.post(
                "/convert", json=answer_of(), headers={"X-Request-Timeout": "0.2"}
            )
            await until(ended.is_set)
            return answer

    assert_problem(asyncio.run(run()), 504, "not done within 0.2 s")
    assert begun.is_set()
