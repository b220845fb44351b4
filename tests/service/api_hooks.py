"""What a schema cannot say of requests, for schemathesis: images are images; nothing twice."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import schemathesis
from hypothesis import strategies as st
from service_fakes import picture

from service.http.openapi import examples

PICTURES = [picture(8, 6, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF")]

# What a schema says too little of.
BODIES = {
    "/convert": examples.CONVERSION,
    "/cvat": examples.CVAT,
    "/labelstudio/predict": examples.LABELSTUDIO,
}

for media_type in ("jpeg", "png", "webp", "bmp", "tiff"):
    schemathesis.openapi.media_type(f"image/{media_type}", st.sampled_from(PICTURES))
schemathesis.openapi.media_type("application/octet-stream", st.sampled_from(PICTURES))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make a request that fits its schema one that can be answered, and in time."""
    if not case.operation.path.startswith(("/segment", "/panoptic", *BODIES)):
        return
    if _is_positive(case.headers.get("X-Request-Timeout", "")):
        case.headers["X-Request-Timeout"] = "20"
    if _is_negative(case):
        return
    query = case.query if isinstance(case.query, dict) else {}
    if "format" in query:  # not every format has every form of masks, and no drawing has one
        for name in ("masks", "render"):
            query.pop(name, None)
    if case.operation.path in BODIES:
        query.pop("masks", None)
        case.body = BODIES[case.operation.path]
        return
    if "classes" in query:
        query["classes"] = ["bus"]
    if case.media_type == "multipart/form-data":
        query.pop("render", None)  # of one image only, and the form may bring more
    if case.media_type == "application/json":
        case.body = _answerable(case.body, query)
    options = (query, case.body) if case.media_type == "application/json" else (query,)
    if not case.operation.path.endswith("/cutout"):
        _keep_apart(case.operation.path, options)


def _keep_apart(path: str, options: Sequence[dict[str, Any]]) -> None:
    """Drop what is only for another value of another option."""
    for given in options:
        if path == "/panoptic" and given.get("masks") == "polygon":
            del given["masks"]  # only some formats have outlines of segments
    if not any(given.get("render") == "cutout" for given in options):
        for given in options:
            for name in ("crop", "instance", "segment"):
                given.pop(name, None)


def _answerable(body: dict[str, Any], query: dict[str, Any]) -> dict[str, Any]:
    options = {
        name: value for name, value in body.items() if name not in (*query, "image", "images")
    }
    if "format" in (options | query):
        for name in ("masks", "render"):
            options.pop(name, None)
            query.pop(name, None)
    if "classes" in options:
        options["classes"] = ["bus"]
    return {**options, "images": [{"data": base64.b64encode(PICTURES[0]).decode(), "id": "é"}]}


def _is_negative(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_negative


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
