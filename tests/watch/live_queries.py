"""Every query against a real Prometheus that watched real servers under load: `make watch-test`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from watch_queries import (
    ROOT,
    RULES,
    Query,
    dashboard_queries,
    rule_queries,
    scaler_queries,
)
from watched_servers import Prometheus, as_text, watched


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with watched(tmp_path_factory.mktemp("watched")) as prometheus:
        yield prometheus


def _ask_promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed (Debian: apt-get install prometheus)"
    asked = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_promtool_finds_no_fault_with_configuration_and_rules() -> None:
    _ask_promtool("check", "config", str(ROOT / "docker/prometheus/prometheus.yml"))
    _ask_promtool("check", "rules", "--lint-fatal", *map(str, RULES))


@pytest.mark.parametrize("name", ["objectives", "workers"])
def test_alerts_come_when_they_should_and_not_otherwise(name: str) -> None:
    _ask_promtool("test", "rules", str(Path(__file__).with_name(f"{name}.yml")))


def test_both_servers_are_scraped_without_fault(prometheus: Prometheus) -> None:
    targets = prometheus.get("targets")["activeTargets"]
    assert [target["health"] for target in targets] == ["up", "up"], as_text(targets)


def test_every_rule_is_computed_without_fault(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    wrong = [r for group in groups for r in group["rules"] if r["health"] != "ok"]
    assert wrong == [], as_text(wrong)


@pytest.mark.parametrize(
    "query",
    [*dashboard_queries(), *rule_queries(), *scaler_queries()],
    ids=lambda query: query.name,
)
def test_query_returns_data_under_load(prometheus: Prometheus, query: Query) -> None:
    assert prometheus.values(query.expr), f"no data: {query.expr}"


@pytest.mark.parametrize(
    "selector",
    [
        'blendmask_requests_total{code="200"}',
        'blendmask_requests_total{code="429"}',
        'blendmask_requests_total{code=~"5.."}',
        'blendmask_requests_total{code="400"}',
        'blendmask_refused_total{reason="queue_full"}',
        "blendmask_dropped_total",
        'blendmask_worker_restarts_total{reason="died"}',
        'blendmask_worker_restarts_total{reason="canary"}',
    ],
)
def test_load_made_the_trouble_that_is_watched(prometheus: Prometheus, selector: str) -> None:
    assert max(prometheus.values(selector), default=0) > 0


def test_failing_canary_raises_its_alert(prometheus: Prometheus) -> None:
    assert prometheus.values('ALERTS{alertname="BlendmaskCanaryFailed",alertstate="firing"}')
