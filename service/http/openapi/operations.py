"""Parts of the OpenAPI document: the routes that run no model."""

from __future__ import annotations

from typing import Any

from service.http.openapi import examples
from service.http.openapi.answers import header_references, problems, reference
from service.http.openapi.conversion_schemas import ConversionOptions
from service.http.openapi.dialect_schemas import SHARED, CocoPanoptic, CocoResults
from service.http.requests.bodies import JSON_TYPE
from service.watch.metrics import MEDIA_TYPE as METRICS_TYPE

_CONVERT_DESCRIPTION = """\
Takes an answer of /segment or /panoptic as it came (`format=native`), or one written like it, and
answers with its masks in another form, or in another tool's shape. Masks may be sent as run
lengths, as rings or as PNGs. Run lengths and PNGs lose nothing; of rings a pixel belongs to the
mask if its centre lies in it. Rings with a `tolerance` of 0 are exact.
"""


def get(name: str, summary: str, schema: str, errors: tuple[int, ...]) -> dict[str, Any]:
    """Return the description of a route that answers with a record."""
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["server"],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": header_references(),
                "content": {JSON_TYPE: {"schema": reference(schema)}},
            },
            **problems(errors),
        },
    }


def get_model() -> dict[str, Any]:
    """Return the description of /models/{name}."""
    operation = get("get_model", "One loaded model", "ModelDescription", (404, 500, 503))
    operation["parameters"] = [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "The model's name; slashes may be sent as they are.",
            "schema": {"type": "string"},
        }
    ]
    return operation


def get_metrics() -> dict[str, Any]:
    """Return the description of /metrics."""
    operation = get("metrics", "Prometheus metrics", "", (500,))
    operation["responses"]["200"]["content"] = {METRICS_TYPE: {"schema": {"type": "string"}}}
    return operation


def convert(header_parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the description of /convert."""
    operation = get("convert", "Masks in another form", "", (400, 413, 415, 422, 429, 500, 504))
    possible = ("SegmentAnswer", "PanopticAnswer", CocoResults.__name__, CocoPanoptic.__name__)
    names = (*possible, *(record.__name__ for record in SHARED))
    schema = {"anyOf": [reference(name) for name in names]}
    operation["responses"]["200"]["content"] = {JSON_TYPE: {"schema": schema}}
    return {
        **operation,
        "description": _CONVERT_DESCRIPTION,
        "tags": ["segmentation"],
        "parameters": [*_query_parameters(), *header_parameters],
        "requestBody": {
            "required": True,
            "content": {
                JSON_TYPE: {
                    "schema": reference("ConversionRequest"),
                    "example": examples.CONVERSION,
                }
            },
        },
    }


def _query_parameters() -> list[dict[str, Any]]:
    parameters = []
    for name, schema in ConversionOptions.model_json_schema()["properties"].items():
        schema.pop("title", None)
        schema.pop("default", None)  # a client made from the document would send it by itself
        if "anyOf" in schema:
            schema |= next(one for one in schema.pop("anyOf") if one.get("type") != "null")
        description = schema.pop("description")
        parameters.append(
            {"name": name, "in": "query", "description": description, "schema": schema}
        )
    return parameters
