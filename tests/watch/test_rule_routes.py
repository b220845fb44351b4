"""The rules and the dashboard count every route that runs a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from service_fakes import app_of, call

ROOT = Path(__file__).parents[2]
# They answer without a model, or are for operators.
_OTHERS = {"/convert", "/admin/reload", "/labelstudio/setup"}


@pytest.mark.parametrize(
    "file",
    [
        "docker/prometheus/rules/recording.yml",
        "k8s/components/monitoring/prometheus-rule.yaml",
        "docker/grafana/dashboards/blendmask.json",
    ],
)
def test_every_route_that_runs_a_model_is_counted(file: str) -> None:
    [pattern] = set(re.findall(r'route=~\\?"(/[^"\\]+)\\?"', (ROOT / file).read_text()))
    paths = call(app_of(admin=True), "GET", "/openapi.json").json()["paths"]
    running = {path for path, operations in paths.items() if "post" in operations} - _OTHERS
    assert {"/segment", "/panoptic/overlay"} <= running
    assert {path for path in running if not re.fullmatch(pattern, path)} == set()
    assert not any(re.fullmatch(pattern, path) for path in (set(paths) - running))
