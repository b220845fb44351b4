"""What the autoscalers ask of Prometheus comes to the right numbers (make k8s-test)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from kustomized import K8S, read_objects

pytestmark = pytest.mark.k8s

# Pod a has two models, two devices that are busy half and all of the time; pod b has one of each,
# and has not run a batch.
SERIES = {
    'blendmask_queue_expected_seconds{namespace="blendmask",pod="a",model="m"}': "3x10",
    'blendmask_queue_expected_seconds{namespace="blendmask",pod="a",model="n"}': "1x10",
    'blendmask_queue_expected_seconds{namespace="blendmask",pod="b",model="m"}': "2x10",
    'blendmask_batch_seconds_sum{namespace="blendmask",pod="a",device="cuda:0"}': "0+30x10",
    'blendmask_batch_seconds_sum{namespace="blendmask",pod="a",device="cuda:1"}': "0+60x10",
    'blendmask_worker_up{namespace="blendmask",pod="a",device="cuda:0"}': "1x10",
    'blendmask_worker_up{namespace="blendmask",pod="a",device="cuda:1"}': "1x10",
    'blendmask_worker_up{namespace="blendmask",pod="b",device="cuda:0"}': "1x10",
}


def _keda() -> dict[str, str]:
    (item,) = read_objects((K8S / "components" / "keda" / "scaled-object.yaml").read_text())
    return {each["name"]: each["metadata"]["query"] for each in item["spec"]["triggers"]}


def _adapter() -> dict[str, str]:
    """Return the adapter's queries by the series that they start from, filled in as it does."""
    (item,) = read_objects((K8S / "components" / "hpa" / "adapter-values.yaml").read_text())
    queries = {}
    for rule in item["rules"]["custom"]:
        series = rule["seriesQuery"].split("{")[0]
        filled = rule["metricsQuery"].replace("<<.Series>>", series)
        filled = filled.replace("<<.GroupBy>>", "pod")
        filled = filled.replace("<<.LabelMatchers>>", 'namespace="blendmask",pod=~"a|b"')
        queries[series] = filled
    return queries


def _holds(queries: dict[str, dict[str, float]], folder: Path) -> None:
    """Ask promtool whether each query gives these numbers, by label."""
    rules = [{"record": f"answer:{number}", "expr": query} for number, query in enumerate(queries)]
    expected = [
        {
            "expr": f"answer:{number}",
            "eval_time": "8m",
            "exp_samples": [
                {"labels": f"answer:{number}{labels}", "value": value}
                for labels, value in samples.items()
            ],
        }
        for number, samples in enumerate(queries.values())
    ]
    (folder / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "scalers", "rules": rules}]})
    )
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in SERIES.items()
                ],
                "promql_expr_test": expected,
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there")
    command = [promtool, "test", "rules", str(folder / "test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keda_sums_over_pods(tmp_path: Path) -> None:
    queries = _keda()
    _holds({queries["queue"]: {"": 6}, queries["busy"]: {"": 0.75}}, tmp_path)


def test_the_adapter_tells_each_pod(tmp_path: Path) -> None:
    queries = _adapter()
    waiting = {'{pod="a"}': 4.0, '{pod="b"}': 2.0}
    busy = {'{pod="a"}': 0.75, '{pod="b"}': 0.0}
    _holds(
        {
            queries["blendmask_queue_expected_seconds"]: waiting,
            queries["blendmask_worker_up"]: busy,
        },
        tmp_path,
    )
