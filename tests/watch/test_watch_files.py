from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from watch_queries import DASHBOARD, ROOT, RULES, dashboard_queries, rule_queries, rules

from service.configuration.settings import Settings
from service.watch.metrics import Metrics

PANELS = json.loads(DASHBOARD.read_text())["panels"]
ALERTS = [rule for rule in rules() if "alert" in rule]
# Prometheus' own, and the client libraries'.
_OTHERS = {"up"}
_NAME = re.compile(r"\b(?:blendmask|process|up)[a-z0-9_]*\b(?!:)")
_SUFFIX = re.compile(r"_(bucket|sum|count|total|info)$")


@cache
def known_metrics() -> set[str]:
    """Return the names that the server's metrics page tells."""
    listed = re.findall(r"^\| `([a-z_]+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert {family.name for family in Metrics().families()} <= {_SUFFIX.sub("", n) for n in listed}
    return set(listed) | _OTHERS


def names_in(expr: str) -> set[str]:
    """Return the metrics that a query reads, recorded ones apart."""
    bare = re.sub(r"blendmask:[\w:]+|\"[^\"]*\"|by \([^)]*\)|on \([^)]*\)", "", expr)
    return set(_NAME.findall(bare))


@pytest.mark.parametrize("expr", [rule["expr"] for rule in rules()])
def test_rules_read_metrics_that_there_are(expr: str) -> None:
    known = known_metrics()
    for name in names_in(expr):
        assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known


@pytest.mark.parametrize("query", dashboard_queries(), ids=lambda query: query.name)
def test_panels_read_metrics_that_there_are(query: Any) -> None:
    known = known_metrics()
    for name in names_in(query.expr):
        assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()], ids=lambda q: q.name)
def test_what_is_read_from_rules_is_recorded(query: Any) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(re.findall(r"blendmask:[\w:]+", query.expr)) <= recorded


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a['alert']} {a['labels']}")
def test_alert_says_how_bad_what_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert page.startswith(f"# {alert['alert']}\n\n**Meaning.** ")
    assert "\n**See.**" in page
    assert "\n**Do.**" in page or " do |\n|---" in page


def test_every_runbook_has_its_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} - {"index"}
    assert pages == {alert["alert"] for alert in ALERTS}


def test_every_alert_is_tested() -> None:
    tested = {
        test["alertname"]
        for file in Path(__file__).parent.glob("*.yml")
        for case in yaml.safe_load(file.read_text())["tests"]
        for test in case.get("alert_rule_test", ())
        if test["exp_alerts"]
    }
    assert tested == {alert["alert"] for alert in ALERTS}


def test_latency_objective_is_a_bound_of_the_histogram() -> None:
    metrics = Metrics()
    metrics.observe(method="POST", route="/segment", code=200, seconds=1.0, stages={})
    bounds = re.findall(r'request_seconds_bucket\{le="([^"]+)"', metrics.render().decode())
    asked = {le for rule in rules() for le in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert asked <= set(bounds)
    assert asked


def test_sums_over_windows_count_on_the_interval_that_is_set() -> None:
    groups = [g for file in RULES for g in yaml.safe_load(file.read_text())["groups"]]
    recording = [group for group in groups if "record" in group["rules"][0]]
    assert {group["interval"] for group in recording} == {"30s"}


def test_scraped_job_is_the_one_that_alerts_name() -> None:
    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    [job] = [job for job in config["scrape_configs"] if job["job_name"] == "blendmask-server"]
    [static] = job["static_configs"]
    assert static["targets"] == [f"server:{Settings.model_fields['port'].default}"]


def test_panels_have_their_own_ids_and_places() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    for left, right in pairwise(
        sorted(PANELS, key=lambda p: (p["gridPos"]["y"], p["gridPos"]["x"]))
    ):
        a, b = left["gridPos"], right["gridPos"]
        assert a["x"] + a["w"] <= 24
        assert a["y"] != b["y"] or a["x"] + a["w"] <= b["x"]


def test_everything_on_the_dashboard_asks_the_chosen_data_source() -> None:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [v["name"] for v in variables] == ["datasource", "job", "instance"]
    assert all(v["datasource"] == chosen for v in variables[1:])
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert [t["datasource"] for t in panel["targets"]] == [chosen] * len(panel["targets"])
            assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_understands_rules_and_panels(tmp_path: Path) -> None:
    asked = [{"record": f"r{i}", "expr": q.expr} for i, q in enumerate(dashboard_queries())]
    panels = tmp_path / "panels.yml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    command = ["promtool", "check", "rules", *map(str, RULES), str(panels)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
