"""Parts of the OpenAPI document: header fields of answers, and the answers that are errors."""

from __future__ import annotations

from typing import Any

from service.errors import KINDS, MEDIA_TYPE
from service.http.openapi import examples

REF = "#/components/schemas/{model}"


def problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    """Return what those statuses answer, by status."""
    responses = {}
    for status in statuses:
        kinds = [kind for kind in KINDS if kind.status == status]
        fields = header_references()
        if status == 401:
            fields["WWW-Authenticate"] = {"schema": {"type": "string"}}
        if status in (429, 503):
            fields["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
        responses[str(status)] = {
            "description": "; ".join(kind.title for kind in kinds),
            "headers": fields,
            "content": {
                MEDIA_TYPE: {
                    "schema": reference("Problem"),
                    "example": examples.problem(kinds[0]),
                }
            },
        }
    return responses


def reference(schema: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": REF.format(model=schema)}


def header_references() -> dict[str, Any]:
    """Return the header fields that every answer has."""
    return {
        "X-Request-ID": {"$ref": "#/components/headers/RequestID"},
        "Server-Timing": {"$ref": "#/components/headers/ServerTiming"},
    }


def headers() -> dict[str, Any]:
    """Return the header fields that `header_references` refers to."""
    return {
        "RequestID": {
            "description": "The request's id; quote it when reporting an error.",
            "schema": {"type": "string"},
        },
        "ServerTiming": {
            "description": "Milliseconds by stage, of those that the request went through: read, "
            "parse, fetch, queue, decode, preprocess, forward, postprocess, encode, serialise, "
            "total.",
            "schema": {"type": "string"},
        },
        "RetryAfter": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer", "minimum": 1},
        },
    }
