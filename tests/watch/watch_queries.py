"""Every query of the dashboard, the rules and the scalers, as text for Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = tuple(sorted((ROOT / "docker/prometheus/rules").glob("*.yml")))
DASHBOARD = ROOT / "docker/grafana/dashboards/blendmask.json"
JOB = "blendmask-server"


@dataclass(frozen=True)
class Query:
    """Where it stands, and what it asks; what a tool puts in is put in."""

    name: str
    expr: str


def dashboard_queries() -> list[Query]:
    """Return the queries of every panel."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [
        Query(f"panel {panel['title']!r} {target['refId']}", _for_grafana(target["expr"]))
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def rules() -> Iterator[dict[str, Any]]:
    """Return every rule, recording or alerting, as it is written."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def rule_queries() -> list[Query]:
    """Return what is recorded, and what alerts watch, whether it is beyond their bounds or not.

    A day of waiting is not wanted: what looks hours back looks seconds back here.
    """
    queries = [
        Query(f"record {rule['record']}", rule["record"]) for rule in rules() if "record" in rule
    ]
    for rule in rules():
        if "alert" in rule:
            asked = re.sub(r"(==|!=|>=|<=|>|<)(?= )", r"\1 bool", rule["expr"])
            asked = re.sub(r"offset \d+[hm]", "offset 2s", asked)
            window = rule["labels"].get("window", "")
            queries.append(Query(f"alert {rule['alert']} {window}".strip(), asked))
    return queries


def scaler_queries() -> list[Query]:
    """Return what KEDA, KServe and the HorizontalPodAutoscaler's adapter ask, below k8s/."""
    queries = []
    for file in sorted((ROOT / "k8s").rglob("*.y*ml")):
        for document in yaml.safe_load_all(file.read_text()):
            found = list(_prometheus_queries(document))
            queries += [Query(f"{file.relative_to(ROOT)} {i}", q) for i, q in enumerate(found)]
    return queries


def _prometheus_queries(node: Any) -> Iterator[str]:
    """Find each `query` beside a `serverAddress`, and prometheus-adapter's `metricsQuery`."""
    if isinstance(node, list):
        for member in node:
            yield from _prometheus_queries(member)
    elif isinstance(node, dict):
        if {"serverAddress", "query"} <= node.keys():
            # A stand-in for no data would hide that there is none.
            yield node["query"].removesuffix("or vector(0)")
        if "metricsQuery" in node:
            yield _for_adapter(node)
        for member in node.values():
            yield from _prometheus_queries(member)
    elif isinstance(node, str) and "metricsQuery" in node:  # a file inside a ConfigMap or values
        yield from _prometheus_queries(yaml.safe_load(node))


def _for_adapter(rule: dict[str, Any]) -> str:
    series = re.match(r"[a-zA-Z_:][\w:]*", rule["seriesQuery"])
    assert series is not None, f"{rule['seriesQuery']!r} names no series"
    text: str = rule["metricsQuery"]
    for name, value in (
        ("Series", series[0]),
        ("LabelMatchers", f'job="{JOB}"'),
        ("GroupBy", "pod"),
    ):
        text = text.replace(f"<<.{name}>>", value)
    return text


def _for_grafana(expr: str) -> str:
    for name, value in (("$job", JOB), ("$instance", ".*"), ("$__rate_interval", "1m")):
        expr = expr.replace(name, value)
    return expr
