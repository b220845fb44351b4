"""The OpenAPI document, made from the records that the routes read and answer with."""

from __future__ import annotations

from itertools import product
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.configuration.settings import Settings
from service.engine import Task
from service.http.keys import open_paths
from service.http.openapi import examples
from service.http.openapi.answers import REF, header_references, headers, problems, reference
from service.http.openapi.conversion_schemas import ConversionRequest
from service.http.openapi.dialect_schemas import SHARED, CocoPanoptic, CocoResults
from service.http.openapi.operations import convert, get, get_metrics, get_model
from service.http.openapi.parameters import header_parameters, option_parameters, tell_default
from service.http.openapi.schemas import (
    Health,
    ModelDescription,
    ModelList,
    PanopticAnswer,
    PanopticRequest,
    Problem,
    SegmentAnswer,
    SegmentRequest,
)
from service.http.openapi.tool_operations import (
    CvatRequest,
    LabelStudioHealth,
    LabelStudioRequest,
    LabelStudioSetup,
    labelling_tools,
)
from service.http.options.records import CUTOUT_ALONE, RECORDS
from service.http.requests.bodies import FORM_TYPE, JSON_TYPE, PART_NAMES, RAW_TYPES
from service.http.requests.negotiation import JPEG, PICTURE_RENDERS, PNG, Render
from service.http.requests.sent_images import MAX_ID_CHARACTERS

_BINARY = {"type": "string", "format": "binary"}
_RUN_ERRORS = (400, 403, 404, 413, 415, 422, 429, 500, 503, 504)
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

_DESCRIPTION = """\
Pictures in, COCO masks out. Send an image as the raw body, as multipart/form-data or as JSON;
options go into the query string, with JSON also beside the images, in a form also as fields. An
unknown option, or one
given twice with different values, is refused. Every error is `application/problem+json`.
"""
_RUN_DESCRIPTION = """\
The bytes decide the image format, not the `Content-Type`, for which other names of these formats
will do (`image/jpg`); a body without a type is read as raw
bytes. Boxes and masks are in pixels of the upright image (EXIF orientation applied). Several
images are answered whole or not at all; an error names the first bad one, where what is seen from
the members and headers of all images comes before what shows only when one is fetched or decoded.

Keep the connection open in both directions until the answer has come: a client that closes its
own side after sending counts as gone, and its request is dropped.
"""


def document(title: str, version: str, settings: Settings, *, has_keys: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server with those settings.

    Args:
        has_keys: whether it asks for API keys.
    """
    records: tuple[type[BaseModel], ...] = (
        *(SegmentAnswer, PanopticAnswer, SegmentRequest, PanopticRequest),
        *(ModelList, ModelDescription, Health, Problem),
        *(CocoResults, CocoPanoptic, ConversionRequest),
        *(CvatRequest, LabelStudioRequest, LabelStudioSetup, LabelStudioHealth),
        *SHARED,
    )
    _, schemas = models_json_schema(
        [(record, "validation") for record in records], ref_template=REF
    )
    for name in ("SegmentRequest", "PanopticRequest"):
        for option, member in schemas["$defs"][name]["properties"].items():
            tell_default(option, member, settings)
    paths: dict[str, Any] = {
        "/segment": {"post": _run("segment", settings)},
        "/panoptic": {"post": _run("panoptic", settings)},
        "/models": {"get": get("list_models", "Loaded models", "ModelList", (500, 503))},
        "/models/{name}": {"get": get_model()},
        "/healthz": {"get": get("health", "Whether the process answers", "Health", (500,))},
        "/readyz": {"get": get("readiness", "Whether traffic should come", "Health", (500, 503))},
        "/metrics": {"get": get_metrics()},
    }
    for task, render in product(RECORDS, PICTURE_RENDERS):
        paths[f"/{task}/{render}"] = {"post": _draw(task, render, settings)}
    if settings.convert:
        paths["/convert"] = {"post": convert(header_parameters(settings))}
    if settings.labelling_tools:
        paths |= labelling_tools(header_parameters(settings))
    if settings.admin:
        paths["/admin/reload"] = {
            "post": get("reload", "Load weights and keys anew", "ModelList", (409, 500, 503))
        }
    components = {"schemas": schemas["$defs"], "headers": headers()}
    if has_keys:
        components["securitySchemes"] = _SECURITY
        _ask_for_keys(paths, settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "paths": paths,
        "components": components,
    }


def _ask_for_keys(paths: dict[str, Any], settings: Settings) -> None:
    is_open = open_paths(guards_metrics=settings.keys_guard_metrics)
    for path, operations in paths.items():
        for operation in operations.values():
            if path not in is_open:
                operation["security"] = [{name: []} for name in _SECURITY]
                operation["responses"] |= problems((401,))


def _run(task: Task, settings: Settings) -> dict[str, Any]:
    name = task.capitalize()
    what = "Instance segmentation" if task == "segment" else "Panoptic segmentation"
    return {
        "operationId": task,
        "summary": what,
        "description": _RUN_DESCRIPTION,
        "tags": ["segmentation"],
        "parameters": [*option_parameters(task, settings), *header_parameters(settings)],
        "requestBody": {"required": True, "content": _request_content(task, name)},
        "responses": {
            "200": {
                "description": "The result, in the shape that `format` says; a drawing with "
                "render=overlay.",
                "headers": header_references(),
                "content": {
                    JSON_TYPE: {
                        "schema": {"anyOf": _answers(task)},
                        "example": examples.ANSWERS[task],
                    },
                    JPEG: {"schema": _BINARY},
                    PNG: {"schema": _BINARY},
                },
            },
            **problems(_RUN_ERRORS),
        },
    }


def _draw(task: Task, render: Render, settings: Settings) -> dict[str, Any]:
    """Return a route that answers with pictures alone: generated clients read no other type."""
    left_out = {"render", "format", "masks"}
    if render != "cutout":
        left_out |= CUTOUT_ALONE
    options = [one for one in option_parameters(task, settings) if one["name"] not in left_out]
    types = (PNG,) if render == "cutout" else (JPEG, PNG)
    return {
        "operationId": f"{task}_{render}",
        "summary": f"As /{task} with render={render}",
        "description": f"Takes whatever /{task} takes, of one image.",
        "tags": ["segmentation"],
        "parameters": [*options, *header_parameters(settings)],
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": _BINARY} for media_type in RAW_TYPES},
        },
        "responses": {
            "200": {
                "description": "The picture.",
                "headers": header_references(),
                "content": {media_type: {"schema": _BINARY} for media_type in types},
            },
            **problems(_RUN_ERRORS),
        },
    }


def _answers(task: Task) -> list[dict[str, str]]:
    """Return the shapes of an answer, our own first; `format` chooses."""
    name = "SegmentAnswer" if task == "segment" else "PanopticAnswer"
    coco = CocoResults if task == "segment" else CocoPanoptic
    return [reference(name), *(reference(record.__name__) for record in (coco, *SHARED))]


def _request_content(task: Task, name: str) -> dict[str, Any]:
    parts = {"type": "array", "items": _BINARY, "minItems": 1}
    form = {
        "type": "object",
        "description": "The images; any of the names will do, also with brackets (`image[]`). A "
        f"part's file name comes back as the image's id; one of more than {MAX_ID_CHARACTERS} "
        "characters is refused with 422. The options of the query may be fields of the form "
        "instead; an empty one counts as not given.",
        "properties": dict.fromkeys(PART_NAMES, parts),
        "minProperties": 1,
        "additionalProperties": False,
    }
    encoding = {"contentType": ", ".join(RAW_TYPES)}
    return {
        **{media_type: {"schema": _BINARY} for media_type in RAW_TYPES},
        FORM_TYPE: {
            "schema": form,
            "encoding": dict.fromkeys(PART_NAMES, encoding),
        },
        JSON_TYPE: {"schema": reference(f"{name}Request"), "example": examples.REQUESTS[task]},
    }
