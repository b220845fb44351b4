"""Parts of the OpenAPI document: the backends of labelling tools, in the tools' own words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.openapi import examples
from service.http.openapi.answers import reference
from service.http.openapi.dialect_schemas import CvatShapes, LabelStudioAnswer
from service.http.openapi.operations import get
from service.http.openapi.schemas import Wire
from service.http.requests.bodies import JSON_TYPE

_RUN_ERRORS = (400, 403, 404, 413, 415, 422, 429, 500, 503, 504)


class _Foreign(BaseModel):
    """What a tool sends; it may say more."""

    model_config = ConfigDict(frozen=True, extra="allow")


class CvatRequest(_Foreign):
    """What CVAT sends to a serverless function."""

    image: str = Field(description="Base64 of the encoded image.")
    threshold: float | None = Field(None, ge=0, le=1)


class LabelStudioTask(_Foreign):
    """A task, of which the picture is read: base64, a URL or an upload of Label Studio's."""

    id: int | str | None = None
    data: dict[str, Any]


class LabelStudioRequest(_Foreign):
    """What Label Studio sends to an ML backend."""

    tasks: list[LabelStudioTask] = Field(min_length=1)
    label_config: str | None = None


class LabelStudioSetup(Wire):
    """Which model answers."""

    model_version: str


class LabelStudioHealth(Wire):
    """That it does."""

    status: str
    model_class: str


def labelling_tools(header_parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the paths of the tools' backends."""
    predict = get("labelstudio_predict", "Label Studio: predictions", "", _RUN_ERRORS)
    detect = get("cvat", "CVAT: a serverless function's shapes", "", _RUN_ERRORS)
    _fill(predict, LabelStudioRequest, LabelStudioAnswer, examples.LABELSTUDIO, header_parameters)
    _fill(detect, CvatRequest, CvatShapes, examples.CVAT, header_parameters)
    webhook = get("labelstudio_webhook", "Label Studio: nothing is learnt from it", "", (500,))
    webhook["responses"]["201"] = webhook["responses"].pop("200")
    webhook["responses"]["201"]["content"] = {JSON_TYPE: {"schema": {"type": "object"}}}
    setup = get("labelstudio_setup", "Label Studio: which model", "LabelStudioSetup", (500, 503))
    health = get("labelstudio_health", "Label Studio: health", "LabelStudioHealth", (500, 503))
    return {
        "/labelstudio/health": {"get": health},
        "/labelstudio/setup": {"post": setup},
        "/labelstudio/predict": {"post": predict},
        "/labelstudio/webhook": {"post": webhook},
        "/cvat": {"post": detect},
    }


def _fill(
    operation: dict[str, Any],
    request: type[BaseModel],
    answer: type[BaseModel],
    example: dict[str, Any],
    header_parameters: list[dict[str, Any]],
) -> None:
    schema = {"schema": reference(answer.__name__)}
    operation["responses"]["200"]["content"] = {JSON_TYPE: schema}
    operation["parameters"] = header_parameters
    content = {"schema": reference(request.__name__), "example": example}
    operation["requestBody"] = {"required": True, "content": {JSON_TYPE: content}}
