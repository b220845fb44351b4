"""Parts of the OpenAPI document: what a request has beside its body."""

from __future__ import annotations

from typing import Any

from service.configuration.settings import Settings
from service.engine import Task
from service.http.options.records import RECORDS


def option_parameters(task: Task, settings: Settings) -> list[dict[str, Any]]:
    """Return the options of a task as parameters of the query."""
    parameters = []
    for name, schema in RECORDS[task].model_json_schema()["properties"].items():
        tell_default(name, schema, settings)
        schema.pop("title", None)
        if "anyOf" in schema:  # an optional one: in a query string there is no null
            schema |= next(one for one in schema.pop("anyOf") if one.get("type") != "null")
        description = schema.pop("description")
        parameters.append(
            {"name": name, "in": "query", "description": description, "schema": schema}
        )
    return parameters


def tell_default(name: str, schema: dict[str, Any], settings: Settings) -> None:
    """Move the default of an option from its schema into its description.

    A client made from the document sends the defaults of schemas by itself, in the query as well as
    in the body, where they contradict what its user has set on the other side.
    """
    default = schema.pop("default", None)
    if name == "score_threshold":
        threshold = settings.score_threshold
        usual = "the model's own (see /models)" if threshold is None else f"{threshold:g}"
        schema["description"] += (
            f" By default {usual}. It chooses among what the model's "
            "configuration yields, which has thresholds of its own: a value below those (see "
            "/models) changes nothing."
        )
    elif default is not None:
        schema["description"] += f" By default `{default}`."


def header_parameters(settings: Settings) -> list[dict[str, Any]]:
    """Return the header fields that a request may have."""
    return [
        {
            "name": "X-Request-Timeout",
            "in": "header",
            "description": f"Seconds to wait for the answer; {settings.deadline_s:g} at most.",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        },
        {
            "name": "X-Request-ID",
            "in": "header",
            "description": "Comes back with the answer if it is at most 128 visible ASCII "
            "characters; else the server makes one.",
            # Whatever comes is taken: an unusable one is replaced, never refused.
            "schema": {"type": "string"},
        },
    ]
