from __future__ import annotations

from dataclasses import replace

import pytest
from service_fakes import (
    INSTANCE_MODEL,
    PANOPTIC_MODEL,
    FakeEngine,
    app_of,
    assert_problem,
    call,
    post_picture,
)

from service.engine import ModelInfo


def test_health_is_200_even_while_loading() -> None:
    app = app_of(FakeEngine([], unready_reason="loading"))
    answer = call(app, "GET", "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_server_says_so() -> None:
    answer = call(app_of(), "GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize("reason", ["the model is still loading", "the server is draining"])
def test_unready_server_says_why(reason: str) -> None:
    answer = call(app_of(FakeEngine(unready_reason=reason)), "GET", "/readyz")
    assert_problem(answer, 503, reason)
    assert "retry-after" in answer.headers


def test_models_are_listed_in_the_order_of_preference() -> None:
    listed = call(app_of(), "GET", "/models").json()["models"]
    assert [model["name"] for model in listed] == ["R_50_3x", "Panoptic/R_50_1x"]
    assert [model["tasks"] for model in listed] == [["segment"], ["segment", "panoptic"]]


def test_model_tells_what_its_answers_depend_on() -> None:
    model = call(app_of(score_threshold=0.4), "GET", "/models/Panoptic/R_50_1x").json()

    assert model["configuration"] == "Panoptic/R_50_1x"
    assert model["weights"] == "sha256:" + "cd" * 32
    assert (model["device"], model["precision"]) == ("cpu", "float32")
    assert model["categories"]["name"] == "coco"
    assert len(model["categories"]["things"]) == 80
    assert len(model["categories"]["stuff"]) == 53
    assert model["input"] == {"short_side": 800, "max_side": 1333, "size_divisor": 32}
    assert model["defaults"] == {
        "segment": {"score_threshold": 0.4, "max_instances": 100, "masks": "rle"},
        "panoptic": {"score_threshold": 0.45, "max_instances": 100, "masks": "rle"},
    }


def test_thresholds_are_the_models_own_where_the_server_has_none() -> None:
    assert _thresholds(PANOPTIC_MODEL) == {"segment": 0.3, "panoptic": 0.45}
    trained = replace(PANOPTIC_MODEL, config=PANOPTIC_MODEL.config.with_score_threshold(0.17))
    assert _thresholds(trained) == {"segment": 0.17, "panoptic": 0.17}
    assert _thresholds(trained, score_threshold=0.4) == {"segment": 0.4, "panoptic": 0.4}


def _thresholds(model: ModelInfo, **settings: float) -> dict[str, float]:
    app = app_of(FakeEngine([model]), **settings)
    [told] = call(app, "GET", "/models").json()["models"]
    return {task: of_task["score_threshold"] for task, of_task in told["defaults"].items()}


def test_unknown_model_is_404() -> None:
    assert_problem(call(app_of(), "GET", "/models/R_101"), 404, "'R_101'", "R_50_3x")


def test_models_are_not_known_while_loading() -> None:
    app = app_of(FakeEngine([], unready_reason="the model is still loading"))
    assert_problem(call(app, "GET", "/models"), 503, "loading")


def test_metrics_count_requests_by_route_and_code() -> None:
    app = app_of(FakeEngine([INSTANCE_MODEL]))
    for url in ("/healthz", "/healthz", "/models/R_50_3x", "/models/nope", "/a", "/b"):
        call(app, "GET", url)
    call(app, "BREW", "/models")
    answer = call(app, "GET", "/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if line.startswith("blendmask_requests_t")]
    assert sorted(lines) == [
        'blendmask_requests_total{code="200",method="GET",route="/healthz"} 2.0',
        'blendmask_requests_total{code="200",method="GET",route="/models/{name:path}"} 1.0',
        'blendmask_requests_total{code="404",method="(none)",route="(none)"} 2.0',
        'blendmask_requests_total{code="404",method="GET",route="/models/{name:path}"} 1.0',
        'blendmask_requests_total{code="405",method="(none)",route="/models"} 1.0',
    ]


def test_metrics_tell_the_time_of_each_stage() -> None:
    app = app_of()
    call(app, "POST", "/segment", content=b"", headers={"Content-Type": "image/jpeg"})
    text = call(app, "GET", "/metrics").text
    assert 'blendmask_stage_seconds_count{stage="read"} 1.0' in text


def test_two_servers_do_not_share_their_metrics() -> None:
    post_picture(FakeEngine())
    assert 'route="/segment"' not in call(app_of(), "GET", "/metrics").text


def test_docs_page_shows_the_document() -> None:
    answer = call(app_of(), "GET", "/docs")
    assert answer.status_code == 200
    assert "'openapi.json'" in answer.text


def test_head_is_answered_where_get_is() -> None:
    answer = call(app_of(), "HEAD", "/healthz")
    assert answer.status_code == 200
