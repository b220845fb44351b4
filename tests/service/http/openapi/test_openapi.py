from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from service_fakes import app_of, call

from model.answers.dialects.choice import Dialect
from service.engine import Task
from service.errors import KINDS, problem
from service.http import routes
from service.http.openapi import examples
from service.http.openapi.schemas import (
    PanopticAnswer,
    PanopticRequest,
    Problem,
    SegmentAnswer,
    SegmentRequest,
)
from service.http.options.records import RECORDS
from service.worker.report import STAGES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer: dict[str, Any] = call(app_of(score_threshold=0.4), "GET", "/openapi.json").json()
    return answer


def test_default_threshold_is_the_models_where_the_server_has_none() -> None:
    answer: dict[str, Any] = call(app_of(), "GET", "/openapi.json").json()
    parameters = answer["paths"]["/segment"]["post"]["parameters"]
    [threshold] = [one for one in parameters if one["name"] == "score_threshold"]
    assert "By default the model's own (see /models)." in threshold["description"]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in app_of().routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) - {"HEAD"}  # it goes with GET
    }
    documented = {
        (path, method) for path, operations in document["paths"].items() for method in operations
    }
    for_people = {"/", "/page/{digest}/{name}", "/docs", "/openapi.json"}
    assert {route for route in routes if route[0] not in for_people} == documented


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert found
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_body_form_is_documented(document: dict[str, Any]) -> None:
    for path in ("/segment", "/panoptic"):
        assert set(document["paths"][path]["post"]["requestBody"]["content"]) == {
            "image/jpeg",
            "image/png",
            "image/webp",
            "image/bmp",
            "image/tiff",
            "application/octet-stream",
            "multipart/form-data",
            "application/json",
        }


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_every_option_is_documented_with_its_range(document: dict[str, Any], task: Task) -> None:
    operation = document["paths"][f"/{task}"]["post"]
    options = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}

    assert set(options) == set(RECORDS[task].model_fields)
    assert all(one["description"] for one in options.values())
    assert options["score_threshold"]["schema"]["minimum"] == 0
    assert options["score_threshold"]["schema"]["maximum"] == 1
    assert options["max_instances"]["schema"]["maximum"] == 1000
    assert options["render"]["schema"]["enum"] == ["json", "overlay", "cutout"]
    assert options["classes"]["schema"]["type"] == "array"
    assert options["format"]["schema"]["enum"] == list(get_args(Dialect))


@pytest.mark.parametrize("path", ["/segment", "/panoptic"])
def test_default_threshold_is_that_of_the_server(document: dict[str, Any], path: str) -> None:
    parameters = document["paths"][path]["post"]["parameters"]
    [threshold] = [one for one in parameters if one["name"] == "score_threshold"]
    assert "By default 0.4." in threshold["description"]
    assert "thresholds of its own" in threshold["description"]


def test_no_option_has_a_default_that_a_client_would_send_by_itself(
    document: dict[str, Any],
) -> None:
    for task in ("segment", "panoptic"):
        members = document["components"]["schemas"][f"{task.capitalize()}Request"]["properties"]
        parameters = document["paths"][f"/{task}"]["post"]["parameters"]
        assert "score_threshold" in members
        assert not any("default" in member for member in members.values())
        assert not any("default" in one["schema"] for one in parameters)


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_defaults_are_told_in_words(document: dict[str, Any], task: str) -> None:
    members = document["components"]["schemas"][f"{task.capitalize()}Request"]["properties"]
    parameters = {one["name"]: one for one in document["paths"][f"/{task}"]["post"]["parameters"]}
    for name, default in (
        ("score_threshold", "By default 0.4."),
        ("max_instances", "By default `100`."),
        ("masks", "By default `rle`."),
        ("format", "By default `native`."),
    ):
        assert default in members[name]["description"]
        assert default in parameters[name]["description"]


def test_longest_id_of_an_image_is_documented(document: dict[str, Any]) -> None:
    member = document["components"]["schemas"]["JsonImage"]["properties"]["id"]
    [text] = [one for one in member["anyOf"] if one["type"] == "string"]
    assert text["maxLength"] == 1000
    assert "422" in member["description"]
    form = document["paths"]["/segment"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert "more than 1000 characters is refused with 422" in form["schema"]["description"]


def test_every_stage_of_the_timing_is_documented(document: dict[str, Any]) -> None:
    description = document["components"]["headers"]["ServerTiming"]["description"]
    here = set(re.findall(r'\.measure\("(\w+)"\)', Path(routes.__file__).read_text()))
    assert "fetch" in here
    for stage in (*here, "queue", *STAGES, "total"):
        assert re.search(rf"\b{stage}\b", description), stage


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    [media_type] = response["content"]
                    assert media_type == "application/problem+json"


def test_examples_fit_their_records() -> None:
    SegmentRequest.model_validate(examples.REQUESTS["segment"])
    PanopticRequest.model_validate(examples.REQUESTS["panoptic"])
    SegmentAnswer.model_validate(examples.ANSWERS["segment"])
    PanopticAnswer.model_validate(examples.ANSWERS["panoptic"])


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_examples_of_requests_are_answered(task: Task, document: dict[str, Any]) -> None:
    operation = document["paths"][f"/{task}"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = call(app_of(), "POST", f"/{task}", json=example)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", KINDS)
def test_errors_fit_their_record(kind: Any) -> None:
    Problem.model_validate(examples.problem(kind))
    refusal = kind("do better").about_image(2, "b.jpg")
    sent = Problem.model_validate_json(problem(refusal, "id"))
    assert sent.detail == "image 2 ('b.jpg'): do better"


@pytest.mark.parametrize("admin", [False, True])
def test_reload_is_documented_where_it_is_there(admin: bool) -> None:
    paths = call(app_of(admin=admin), "GET", "/openapi.json").json()["paths"]
    assert ("/admin/reload" in paths) == admin


def test_keys_are_documented_where_they_are_asked_for(document: dict[str, Any]) -> None:
    assert "securitySchemes" not in document["components"]
    guarded = call(app_of(keys=("secret",)), "GET", "/openapi.json").json()
    schemes = guarded["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    segment, health = guarded["paths"]["/segment"]["post"], guarded["paths"]["/healthz"]["get"]
    assert [set(one) for one in segment["security"]] == [{"bearer"}, {"header"}]
    assert "401" in segment["responses"]
    assert "security" not in health
    assert "401" not in health["responses"]
    assert "secret" not in str(guarded)
