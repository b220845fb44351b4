from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from check_api import serving
from masks_of_pictures import MASKS, native_image
from service_fakes import FakeEngine, app_of, assert_problem, call, picture

from model.answers.dialects.choice import tell
from service.http.openapi.dialect_schemas import LabelStudioAnswer
from service.http.tools.labelling_interface import read_interface

PICTURE = base64.b64encode(picture()).decode()
INTERFACE = """
<View>
  <!-- two pictures, of which one is labelled -->
  <Image name="other" value="$thumbnail"/>
  <Image name="photo" value="$photo" zoom="true"/>
  <BrushLabels name="what" toName="photo">
    <Label value="Omnibus" predicted_values="bus 0, bus 1"/>
    <Label value="Bus 2"/>
  </BrushLabels>
</View>
"""


def ask(
    path: str, body: Any, engine: FakeEngine | None = None, method: str = "POST", **settings: Any
) -> httpx.Response:
    return call(app_of(engine, labelling_tools=True, **settings), method, path, json=body)


def predict(
    data: dict[str, Any], engine: FakeEngine, label_config: str | None = None, **settings: Any
) -> httpx.Response:
    tasks = [{"id": 7, "data": data, "annotations": [{"result": [1, 2, 3]}]}]
    body = {"tasks": tasks, "project": "1.2", "label_config": label_config, "params": {}}
    return ask("/labelstudio/predict", body, engine, **settings)


def finding_engine(masks: str = "rle") -> FakeEngine:
    engine = FakeEngine()
    engine.body = json.dumps(tell(native_image(MASKS), "labelstudio", masks)).encode()  # type: ignore[arg-type]
    return engine


def test_label_studio_hears_that_it_is_up_and_which_model_answers() -> None:
    health = ask("/labelstudio/health", None, method="GET")
    assert health.json()["status"] == "UP"
    assert ask("/labelstudio/setup", {"project": "1"}).json() == {
        "model_version": "R_50_3x sha256:abababababab"
    }
    assert ask("/labelstudio/webhook", {"action": "ANNOTATION_CREATED"}).status_code == 201


def test_label_studio_is_told_while_models_load() -> None:
    engine = FakeEngine([], unready_reason="loading")
    assert_problem(ask("/labelstudio/health", None, engine, "GET"), 503)
    assert_problem(ask("/labelstudio/setup", {}, engine), 503)


def test_prediction_has_the_names_and_labels_of_the_interface() -> None:
    engine = finding_engine()
    answer = predict({"photo": PICTURE, "thumbnail": "x"}, engine, INTERFACE)
    LabelStudioAnswer.model_validate(answer.json())
    [prediction] = answer.json()["results"]
    assert [region["value"]["brushlabels"] for region in prediction["result"]] == [
        ["Omnibus"], ["Omnibus"], ["Bus 2"]
    ]  # fmt: skip
    assert {(one["from_name"], one["to_name"]) for one in prediction["result"]} == {
        ("what", "photo")
    }
    assert prediction["score"] == pytest.approx((0.95 + 0.9 + 0.85) / 3)
    assert prediction["model_version"] == answer.json()["model_version"]
    [job] = engine.jobs
    assert (job.asked.format, job.asked.masks, job.pictures[0].id) == ("labelstudio", "rle", "7")


@pytest.mark.parametrize(
    ("tag", "masks"), [("PolygonLabels", "polygon"), ("RectangleLabels", "none")]
)
def test_masks_become_what_the_interface_has(tag: str, masks: str) -> None:
    engine = finding_engine("polygon")
    config = INTERFACE.replace("BrushLabels", tag)
    assert predict({"photo": PICTURE}, engine, config).status_code == 200
    assert engine.jobs[0].asked.masks == masks


def test_without_an_interface_all_is_told_as_the_model_calls_it() -> None:
    answer = predict({"image": f"data:image/jpeg;base64,{PICTURE}"}, finding_engine())
    [prediction] = answer.json()["results"]
    assert len(prediction["result"]) == len(MASKS)
    assert prediction["result"][0]["from_name"] == "label"


def test_upload_is_read_from_its_folder_and_nothing_outside(tmp_path: Path) -> None:
    folder = tmp_path / "upload"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "a b.jpg").write_bytes(picture())
    (tmp_path / "secret.jpg").write_bytes(picture())
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    uploads = {"labelstudio_uploads": folder}
    engine = finding_engine()
    assert predict({"image": "/data/upload/1/a%20b.jpg?d=1"}, engine, **uploads).status_code == 200
    assert engine.jobs[0].pictures[0].width == 8
    for outside in ("../secret.jpg", "%2e%2e/secret.jpg", "/etc/passwd", "link.jpg", "1", "%00"):
        answer = predict({"image": f"/data/upload/{outside}"}, engine, **uploads)
        body = assert_problem(answer, 422, "no file among Label Studio's uploads")
        assert body["image"] == {"index": 0, "id": "7"}
    few = predict({"image": "/data/upload/1/a%20b.jpg"}, engine, max_body_bytes=300, **uploads)
    assert_problem(few, 413, "more than 300 bytes together")


def test_upload_is_refused_where_the_folder_is_not_set() -> None:
    answer = predict({"image": "/data/upload/1/a.jpg"}, FakeEngine())
    assert_problem(answer, 403, "set labelstudio_uploads")


def test_url_is_refused_where_urls_are() -> None:
    answer = predict({"image": "https://example.org/a.jpg"}, FakeEngine())
    assert_problem(answer, 403, "switch url_input on")


@pytest.mark.parametrize(
    ("body", "status", "mention"),
    [
        ({"tasks": []}, 422, "send at least one"),
        ({}, 422, "missing required field `tasks`"),
        ({"tasks": [{"id": 1}]}, 422, "missing required field `data`"),
        ({"tasks": [{"data": {"a": "x", "b": "y"}}]}, 422, "its data has 2 texts"),
        ({"tasks": [{"data": {"a": "x"}}], "label_config": INTERFACE}, 422, "no 'photo'"),
        ({"tasks": [{"data": {"a": "#"}}]}, 400, "not valid base64"),
        ({"tasks": [{"data": {"a": PICTURE}}], "label_config": "<View"}, 422, "no XML"),
        ({"tasks": [{"data": {"a": PICTURE}}], "label_config": "<View/>"}, 422, "none of Brush"),
        ({"tasks": [{"data": {"a": PICTURE}}], "label_config": "<!DOCTYPE a><View/>"}, 422,
         "defines entities"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused(body: Any, status: int, mention: str) -> None:
    assert_problem(ask("/labelstudio/predict", body), status, mention)


def test_body_that_is_no_json_is_refused() -> None:
    app = app_of(labelling_tools=True)
    for path in ("/labelstudio/predict", "/cvat"):
        assert_problem(call(app, "POST", path, content=b"{"), 400, "not valid JSON")


def test_labels_of_a_choice_beside_the_masks_are_not_theirs() -> None:
    interface = read_interface(
        '<View><Image name="i" value="$i"/>'
        '<Choices name="c" toName="i"><Choice value="x"/></Choices>'
        '<RectangleLabels name="r" toName="i"><Label value="Car"/></RectangleLabels></View>'
    )
    assert (interface.from_name, interface.masks, interface.labels) == ("r", "none", {"car": "Car"})


def test_cvats_function_answers_with_shapes() -> None:
    engine = FakeEngine()
    engine.body = b'[{"label":"bus","type":"mask","points":[],"mask":[1,0,0,0,0]}]'
    answer = ask("/cvat", {"image": PICTURE, "threshold": 0.45, "job": 3}, engine)
    assert answer.json()[0]["label"] == "bus"
    [job] = engine.jobs
    assert (job.asked.format, job.asked.masks) == ("cvat", "rle")
    assert job.asked.predict.score_threshold == 0.45
    ask("/cvat?masks=polygon&score_threshold=0.2", {"image": PICTURE, "threshold": None}, engine)
    assert engine.jobs[1].asked.masks == "polygon"


def test_cvats_threshold_has_a_range() -> None:
    assert_problem(ask("/cvat", {"image": PICTURE, "threshold": 7}), 422, "score_threshold is 7")


def test_tools_find_nothing_unless_they_are_asked_in() -> None:
    for path in ("/cvat", "/labelstudio/predict", "/labelstudio/setup"):
        assert_problem(call(app_of(), "POST", path, json={}), 404)


def test_key_may_be_the_password_as_label_studio_sends_it() -> None:
    app = app_of(labelling_tools=True, keys=("s:cret",))
    for auth, status in ((("any", "s:cret"), 200), (("any", "s"), 401), (None, 401)):
        path = "/labelstudio/setup"
        head = {}
        if auth:
            token = base64.b64encode(":".join(auth).encode()).decode()
            head["Authorization"] = f"Basic {token}"
        assert call(app, "POST", path, json={}, headers=head).status_code == status
    garbled = {"Authorization": "Basic ?"}
    assert call(app, "POST", "/labelstudio/setup", json={}, headers=garbled).status_code == 401


def test_documented_function_of_nuclio_passes_pictures_on() -> None:
    page = (Path(__file__).parents[4] / "docs" / "cvat.md").read_text()
    [source] = re.findall(r"```python\n# main.py\n(.*?)```", page, flags=re.DOTALL)
    body = json.dumps({"image": PICTURE, "threshold": 0.5}).encode()
    photo = SimpleNamespace(body=body)
    context = SimpleNamespace(Response=lambda **members: members)
    with serving() as url:
        names: dict[str, Any] = {}
        exec(source.replace("http://blendmask:8000", url), names)
        answer = names["handler"](context, photo)
    assert answer["content_type"] == "application/json"
    [shape] = json.loads(answer["body"])
    assert shape["mask"] == [1] * 6 + [0, 0, 0, 5]  # the first column, as that server finds
