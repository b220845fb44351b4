"""/labelstudio/…: the routes of Label Studio's ML backends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.configuration.settings import Settings
from service.engine import Engine
from service.errors import FeatureOffError, MalformedError, OptionError, ServiceError, TooLargeError
from service.http.loaded_models import require_models
from service.http.requests.base64_data import decode_base64
from service.http.requests.negotiation import JSON
from service.http.requests.sent_images import Body, SentImage
from service.http.routes import SegmentationRoutes
from service.http.tools.labelling_interface import Interface, fit, picture_of, read_interface
from service.json_bytes import to_json

_UPLOADS = "/data/upload/"


class _Task(msgspec.Struct):
    data: dict[str, Any]
    id: int | str | None = None


class _Prediction(msgspec.Struct):
    """What /predict is sent, of which annotations and all else are passed over."""

    tasks: list[_Task]
    label_config: str | None = None


_DECODER = msgspec.json.Decoder(_Prediction)


class LabelStudioRoutes:
    """What Label Studio asks of a backend. Its address is the server's with /labelstudio."""

    def __init__(self, settings: Settings, engine: Engine, routes: SegmentationRoutes) -> None:
        self._settings = settings
        self._engine = engine
        self._routes = routes

    def add_to(self, app: FastAPI) -> None:
        """Register the routes."""
        app.add_api_route("/labelstudio/health", self.health, methods=["GET"])
        app.add_api_route("/labelstudio/setup", self.setup, methods=["POST"])
        app.add_api_route("/labelstudio/predict", self.predict, methods=["POST"])
        app.add_api_route("/labelstudio/webhook", self.webhook, methods=["POST"])

    async def health(self, request: Request) -> Response:
        """Say that predictions can be asked for; 503 while a model loads."""
        require_models(self._engine)
        return _json({"status": "UP", "model_class": "BlendMask"})

    async def setup(self, request: Request) -> Response:
        """Say which model will answer. What Label Studio says of its project is not kept."""
        model = require_models(self._engine)[0]
        return _json({"model_version": f"{model.name} sha256:{model.sha256[:12]}"})

    async def webhook(self, request: Request) -> Response:
        """Take note of nothing: the model does not learn from annotations."""
        return Response(b"{}", status_code=201, media_type=JSON)

    async def predict(self, request: Request) -> Response:
        """Answer with a prediction for each task, in order."""
        reading = _Reading(self._settings)
        answer = await self._routes.answer("segment", request, reading.read)
        body = await asyncio.to_thread(_fitted, bytes(answer.body), reading.interface)
        return Response(body, media_type=JSON)


class _Reading:
    """Reads a body, and remembers its labelling interface."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room = settings.max_body_bytes  # for files that are read here
        self.interface = Interface()

    def read(self, data: bytes) -> Body:
        """Return the tasks' pictures and the options that the interface asks for."""
        try:
            sent = _DECODER.decode(data)
        except msgspec.ValidationError as error:
            raise OptionError(f"the body is no prediction request: {error}") from None
        except msgspec.DecodeError as error:
            raise MalformedError(f"the body is not valid JSON: {error}") from None
        self.interface = read_interface(sent.label_config)
        return Body(
            images=sent.tasks,
            read_image=self._read_task,
            options={"format": "labelstudio", "masks": self.interface.masks},
            if_empty="the request holds no task; send at least one",
        )

    def _read_task(self, task: _Task, index: int) -> SentImage:
        name = None if task.id is None else str(task.id)[:100]
        try:
            told = picture_of(task.data, self.interface)
            if told.lower().startswith(("http://", "https://")):
                if not self._settings.url_input:
                    raise FeatureOffError(
                        "its picture is given by URL, which is switched off on this server; "
                        "switch url_input on"
                    )
                return SentImage(url=told, id=name)
            if told.startswith(_UPLOADS):
                return SentImage(data=self._read_upload(told.removeprefix(_UPLOADS)), id=name)
            return SentImage(data=decode_base64(told), id=name)
        except ServiceError as error:
            raise error.about_image(index, name) from None

    def _read_upload(self, told: str) -> bytes:
        """Return a file that was uploaded to Label Studio."""
        folder = self._settings.labelstudio_uploads
        if folder is None:
            raise FeatureOffError(
                "its picture was uploaded to Label Studio, whose files the server does not see; "
                "set labelstudio_uploads to their folder"
            )
        path = _inside(folder, unquote(told.partition("?")[0]))
        if path is None:
            raise OptionError("its picture is no file among Label Studio's uploads")
        self._room -= path.stat().st_size
        if self._room < 0:
            raise TooLargeError(
                f"the pictures have more than {self._settings.max_body_bytes} bytes together; "
                "ask for fewer tasks"
            )
        return path.read_bytes()


def _inside(folder: Path, name: str) -> Path | None:
    """Return a file of a folder; None where there is no such file in it, or it leads outside."""
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError):
        return None


def _fitted(body: bytes, interface: Interface) -> bytes:
    answer = json.loads(body)
    results = [fit(prediction, interface) for prediction in answer["results"]]
    version = answer["model_version"]
    return to_json(
        {
            "results": [{**result, "model_version": version} for result in results],
            "model_version": version,
        }
    )


def _json(value: dict[str, Any]) -> Response:
    return Response(to_json(value), media_type=JSON)
