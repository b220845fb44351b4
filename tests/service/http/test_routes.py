from __future__ import annotations

import asyncio
import io
import time
from dataclasses import replace

import httpx
import pytest
from PIL import Image
from service_fakes import (
    INSTANCE_MODEL,
    JPEG_BODY,
    FakeEngine,
    app_of,
    assert_problem,
    call,
    picture,
    post_picture,
    task_of,
    until,
)

from service.engine import Cutout
from service.errors import QueueFullError
from service.http.requests.negotiation import JPEG, PNG


def test_answer_names_the_model_and_has_one_entry_for_each_image() -> None:
    answer = post_picture(FakeEngine())

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model": {"name": "R_50_3x", "weights": "sha256:" + "ab" * 32, "categories": "coco"},
        "images": [{"n": 0}],
    }


def test_segment_without_options_gets_the_contract_defaults() -> None:
    engine = FakeEngine()
    post_picture(engine)

    [job] = engine.jobs
    assert job.asked == task_of()
    assert job.model == "R_50_3x"


def test_job_brings_the_size_of_the_upright_picture() -> None:
    engine = FakeEngine()
    exif = Image.Exif()
    exif[274] = 6  # the top is at the right
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG", exif=exif)
    for data in (picture(8, 6), buffer.getvalue()):
        call(app_of(engine), "POST", "/segment", content=data, headers=JPEG_BODY)

    plain, turned = (job.pictures[0] for job in engine.jobs)
    assert (plain.width, plain.height) == (8, 6)
    assert (turned.width, turned.height) == (6, 8)


def test_job_brings_its_deadline_and_the_request_id() -> None:
    engine = FakeEngine()
    before = time.monotonic()
    post_picture(engine, headers={"X-Request-Timeout": "7", "X-Request-ID": "mine"})
    after = time.monotonic()

    [job] = engine.jobs
    assert before + 7 <= job.deadline <= after + 7
    assert job.request_id == "mine"


@pytest.mark.parametrize("url", ["/segment", "/panoptic"])
def test_threshold_of_the_server_holds_where_the_caller_gives_none(url: str) -> None:
    engine = FakeEngine()
    post_picture(engine, url, score_threshold=0.6)
    assert engine.jobs[0].asked.predict.score_threshold == 0.6


def test_threshold_of_the_model_holds_where_nobody_gives_one() -> None:
    config = INSTANCE_MODEL.config.with_score_threshold(0.17)
    engine = FakeEngine([replace(INSTANCE_MODEL, config=config)])
    post_picture(engine)
    assert engine.jobs[0].asked.predict.score_threshold == 0.17


def test_panoptic_passes_an_explicit_threshold_on() -> None:
    engine = FakeEngine()
    post_picture(engine, "/panoptic?score_threshold=0.2")
    assert engine.jobs[0].asked.predict.score_threshold == 0.2


def test_panoptic_takes_the_first_model_that_can_do_it() -> None:
    engine = FakeEngine()
    post_picture(engine, "/panoptic")
    assert engine.jobs[0].model == "Panoptic/R_50_1x"


def test_panoptic_model_answers_segment_too() -> None:
    engine = FakeEngine()
    post_picture(engine, "/segment?model=Panoptic/R_50_1x")
    assert engine.jobs[0].model == "Panoptic/R_50_1x"


def test_panoptic_of_an_instance_model_is_refused_naming_those_that_can() -> None:
    answer = post_picture(FakeEngine(), "/panoptic?model=R_50_3x")
    assert_problem(answer, 422, "'R_50_3x'", "Panoptic/R_50_1x")


def test_panoptic_is_refused_where_no_model_can_do_it() -> None:
    answer = post_picture(FakeEngine([INSTANCE_MODEL]), "/panoptic")
    assert_problem(answer, 422, "'R_50_3x'", "none of the loaded ones")


def test_unknown_model_is_404_naming_those_loaded() -> None:
    answer = post_picture(FakeEngine(), "/segment?model=R_101")
    assert_problem(answer, 404, "'R_101'", "R_50_3x, Panoptic/R_50_1x")


def test_classes_are_read_by_name_and_by_id() -> None:
    engine = FakeEngine()
    post_picture(engine, "/segment?classes=bus,17&classes=Traffic%20Light")
    assert engine.jobs[0].asked.predict.category_ids == frozenset({6, 17, 10})


def test_unknown_class_is_refused_with_near_matches() -> None:
    answer = post_picture(FakeEngine(), "/segment?classes=buss")
    assert_problem(answer, 422, "'buss'", "near matches: bus")


@pytest.mark.parametrize(
    ("url", "accept", "media_type"),
    [
        ("/segment?render=overlay", "*/*", JPEG),
        ("/segment?render=overlay", "image/png", PNG),
        ("/panoptic", "image/png", PNG),
        ("/panoptic", "image/jpeg", JPEG),
    ],
)
def test_overlay_answers_the_picture(url: str, accept: str, media_type: str) -> None:
    engine = FakeEngine()
    answer = post_picture(engine, url, {"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.content == b'{"n":0}'  # the engine's bytes as they are
    assert engine.jobs[0].asked.picture_type == media_type


def test_accept_of_several_lines_counts_as_one() -> None:
    for lines, media_type in (
        (("image/jpeg;q=0.5", "image/png"), PNG),
        (("image/png", "application/json"), "application/json"),
        (("image/png", "text/html, */*"), "application/json"),
    ):
        headers = [("Content-Type", "image/jpeg"), *(("Accept", line) for line in lines)]
        answer = call(app_of(), "POST", "/segment", content=picture(), headers=headers)
        assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize(
    ("url", "cutout"),
    [
        ("/segment?render=cutout", Cutout(number=None, crop=False)),
        ("/segment?render=cutout&instance=3&crop=true", Cutout(number=3, crop=True)),
        ("/panoptic?render=cutout&segment=3", Cutout(number=3, crop=False)),
    ],
)
def test_cutout_answers_a_png_whatever_is_accepted(url: str, cutout: Cutout) -> None:
    engine = FakeEngine()
    engine.body = b"drawn"
    answer = post_picture(engine, f"{url}&masks=none", headers={"Accept": JPEG})
    assert (answer.status_code, answer.headers["content-type"]) == (200, PNG)
    assert answer.content == b"drawn"
    asked = engine.jobs[0].asked
    assert asked.cutout == cutout
    assert not asked.is_brief
    assert asked.predict.masks == (asked.task == "segment")


def test_options_of_query_and_body_belong_together() -> None:
    engine = FakeEngine()
    files = {"image": picture()}
    for url, field, value in (
        ("/segment?instance=3", "render", "cutout"),
        ("/panoptic?masks=polygon", "format", "labelstudio"),
    ):
        answer = call(app_of(engine), "POST", url, files=files, data={field: value})
        assert answer.status_code == 200
    assert engine.jobs[0].asked.cutout == Cutout(number=3, crop=False)


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_route_of_its_own_answers_with_pictures_alone(task: str) -> None:
    engine = FakeEngine()
    engine.body = b"drawn"
    overlay = post_picture(engine, f"/{task}/overlay?score_threshold=0.5")
    assert (overlay.headers["content-type"], overlay.content) == (JPEG, b"drawn")
    cutout = post_picture(engine, f"/{task}/cutout?crop=true&render=cutout")
    assert cutout.headers["content-type"] == PNG
    assert engine.jobs[0].asked.cutout is None
    assert engine.jobs[0].asked.predict.score_threshold == 0.5
    assert engine.jobs[1].asked.cutout == Cutout(number=None, crop=True)
    assert_problem(post_picture(engine, f"/{task}/overlay?render=json"), 422, "render is given")


def test_cutout_of_two_images_is_refused() -> None:
    files = [("image", picture())] * 2
    answer = call(app_of(), "POST", "/segment?render=cutout", files=files)
    assert_problem(answer, 422, "render is 'cutout' for 2 images")


def test_overlay_of_two_images_is_refused() -> None:
    engine = FakeEngine()
    files = [("image", picture()), ("image", picture())]
    answer = call(app_of(engine), "POST", "/segment?render=overlay", files=files)

    assert_problem(answer, 422, "2 images")
    assert engine.jobs == []


def test_full_queue_is_refused_with_429_and_retry_after() -> None:
    answer = post_picture(FakeEngine(outcome=QueueFullError("full; later", retry_after_s=7)))
    assert_problem(answer, 429, "full")
    assert answer.headers["retry-after"] == "7"


def test_loading_server_answers_503_with_the_reason() -> None:
    answer = post_picture(FakeEngine([], unready_reason="the model is still loading"))
    assert_problem(answer, 503, "loading")
    assert int(answer.headers["retry-after"]) >= 1


def test_draining_server_still_takes_requests() -> None:
    answer = post_picture(FakeEngine(unready_reason="draining"))
    assert answer.status_code == 200


def test_caller_may_shorten_the_deadline_and_the_work_is_dropped() -> None:
    async def run() -> tuple[httpx.Response, FakeEngine]:
        engine = FakeEngine()
        engine.hold = asyncio.Event()
        transport = httpx.ASGITransport(app=app_of(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {**JPEG_BODY, "X-Request-Timeout": "0.05"}
            return await client.post("/segment", content=picture(), headers=headers), engine

    answer, engine = asyncio.run(run())
    assert_problem(answer, 504, "0.05 s")
    assert engine.cancelled == 1


def test_deadline_of_the_server_bounds_a_longer_wish() -> None:
    async def run() -> httpx.Response:
        engine = FakeEngine()
        engine.hold = asyncio.Event()
        transport = httpx.ASGITransport(app=app_of(engine, deadline_s=0.05))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {**JPEG_BODY, "X-Request-Timeout": "3600"}
            return await client.post("/segment", content=picture(), headers=headers)

    assert_problem(asyncio.run(run()), 504, "0.05 s")


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan"])
def test_senseless_timeout_is_refused(timeout: str) -> None:
    answer = post_picture(FakeEngine(), headers={"X-Request-Timeout": timeout})
    assert_problem(answer, 422, f"'{timeout}'")


def test_work_is_cancelled_when_the_client_goes_away() -> None:
    async def run() -> tuple[FakeEngine, list[int], bytes]:
        engine = FakeEngine()
        engine.hold = asyncio.Event()
        app = app_of(engine)
        gone = asyncio.Event()
        incoming = [{"type": "http.request", "body": picture(), "more_body": False}]

        async def receive() -> dict[str, object]:
            if incoming:
                return incoming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        statuses: list[int] = []

        async def send(message: dict[str, int]) -> None:
            if "status" in message:
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/segment",
            "raw_path": b"/segment",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"image/jpeg")],
            "server": ("server", 80),
            "client": ("client", 1),
        }
        serving = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
        await until(lambda: len(engine.jobs) == 1)
        gone.set()
        await serving
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            metrics = await client.get("/metrics")
        return engine, statuses, metrics.content

    engine, statuses, metrics = asyncio.run(run())
    assert engine.cancelled == 1
    assert statuses == [499]
    assert b'blendmask_requests_total{code="499",method="POST",route="/segment"} 1.0' in metrics


@pytest.mark.parametrize(
    ("query", "masks"),
    [("segment?format=cvat", "rle"), ("segment?format=roboflow&masks=polygon", "polygon"),
     ("panoptic?format=coco", "png"), ("panoptic?format=labelstudio&masks=polygon", "polygon"),
     ("panoptic?format=coco&masks=none", "none")],
)  # fmt: skip
def test_format_goes_to_the_engine_with_masks_it_can_tell(query: str, masks: str) -> None:
    engine = FakeEngine()
    assert post_picture(engine, f"/{query}").status_code == 200
    [job] = engine.jobs
    assert f"format={job.asked.format}" in query
    assert job.asked.masks == masks
    assert job.asked.predict.masks == (masks in ("rle", "polygon"))


def test_answer_in_another_tools_shape_has_no_frame_of_ours() -> None:
    engine = FakeEngine()
    engine.body = b'[{"n":1}]'
    assert post_picture(engine, "/segment?format=coco").json() == [{"n": 1}]


@pytest.mark.parametrize("query", ["render=overlay&format=coco", "format=cvat"])
def test_drawing_in_another_tools_shape_is_a_contradiction(query: str) -> None:
    engine = FakeEngine()
    answer = post_picture(engine, f"/segment?{query}", headers={"Accept": "image/png"})
    assert_problem(answer, 422, "for a picture; ask for render=json")
    assert engine.jobs == []
