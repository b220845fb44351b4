"""An engine without a model, small pictures, and a client without a socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image

from model.coco_categories import COCO, COCO_PANOPTIC
from model.pictures.background import Background
from model.prediction.options import PredictOptions
from model.presets import preset
from service.app import create_app
from service.configuration.settings import Settings
from service.engine import Cutout, Job, ModelInfo, PictureTask, Result

INSTANCE_MODEL = ModelInfo(
    name="R_50_3x",
    sha256="ab" * 32,
    device="cpu",
    precision="float32",
    config=preset("R_50_3x"),
    categories=COCO,
)
PANOPTIC_MODEL = ModelInfo(
    name="Panoptic/R_50_1x",
    sha256="cd" * 32,
    device="cpu",
    precision="float32",
    config=preset("Panoptic/R_50_1x"),
    categories=COCO_PANOPTIC,
)
JPEG_BODY = {"Content-Type": "image/jpeg"}


def task_of(
    *,
    task: Any = "segment",
    score_threshold: float = 0.3,
    max_instances: int = 100,
    category_ids: frozenset[int] | None = None,
    masks: Any = "rle",
    picture_type: str | None = None,
    dialect: Any = "native",
    cutout: Cutout | None = None,
    background: Background | None = None,
) -> PictureTask:
    """What a request without options asks of a picture, but for these."""
    predict = PredictOptions(
        score_threshold=score_threshold, max_instances=max_instances, category_ids=category_ids
    )
    return PictureTask(
        task=task,
        predict=predict,
        masks=masks,
        picture_type=picture_type,
        format=dialect,
        cutout=cutout,
        background=background,
    )


class FakeEngine:
    """Answers every picture with `{"n": its number}`, and remembers the jobs.

    Args:
        models: what is loaded.
        outcome: an exception to raise instead of answering.
        unready_reason: as `Engine.unready_reason`.
    """

    def __init__(
        self,
        models: Sequence[ModelInfo] = (INSTANCE_MODEL, PANOPTIC_MODEL),
        *,
        outcome: BaseException | None = None,
        unready_reason: str | None = None,
    ) -> None:
        self.models = tuple(models)
        self.unready_reason = unready_reason
        self.jobs: list[Job] = []
        self.cancelled = 0
        self.hold: asyncio.Event | None = None  # when set, answers wait for it
        self.delay_s = 0.0  # as long an answer takes
        self.body: bytes | None = None  # when set, the answer for every picture
        self.num_reloads = 0
        self.reload_outcome: Exception | None = None
        self._outcome = outcome

    def start(self) -> None:
        pass

    async def wait_until_loaded(self) -> None:
        pass

    async def submit(self, job: Job) -> Result:
        self.jobs.append(job)
        if self._outcome is not None:
            raise self._outcome
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        await asyncio.sleep(self.delay_s)
        bodies = tuple(self.body or b'{"n":%d}' % number for number in range(len(job.pictures)))
        [model] = (one for one in self.models if one.name == job.model)
        return Result(bodies=bodies, seconds={"queue": 0.001, "forward": 0.25}, model=model)

    def drain(self) -> None:
        self.unready_reason = "draining"

    async def reload(self) -> None:
        self.num_reloads += 1
        if self.reload_outcome is not None:
            raise self.reload_outcome

    def stop(self) -> None:
        pass

    async def wait_stopped(self) -> None:
        pass


def app_of(engine: FakeEngine | None = None, **settings: Any) -> FastAPI:
    """An application on a fake engine."""
    return create_app(Settings(**settings), engine or FakeEngine())


def call(app: FastAPI, method: str, url: str, **request: Any) -> httpx.Response:
    """The answer of an application to one request."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, url, **request)

    return asyncio.run(run())


def post_picture(
    engine: FakeEngine,
    url: str = "/segment",
    headers: dict[str, str] | None = None,
    **settings: Any,
) -> httpx.Response:
    """The answer to a small JPEG sent as the raw body."""
    app = app_of(engine, **settings)
    return call(app, "POST", url, content=picture(), headers={**JPEG_BODY, **(headers or {})})


def picture(width: int = 8, height: int = 6, kind: str = "JPEG") -> bytes:
    """The encoded bytes of a small grey picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(buffer, kind)
    return buffer.getvalue()


def assert_problem(answer: httpx.Response, status: int, *mentions: str) -> dict[str, Any]:
    """Check that an answer is a problem document of that status whose detail has the mentions."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    for mention in mentions:
        assert mention in body["detail"], body["detail"]
    return body


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    while not condition():
        await asyncio.sleep(0.001)
