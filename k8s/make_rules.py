"""Writes the rules of docker/prometheus as the PrometheusRule of components/monitoring.

Kustomize cannot put a file of rules into an object. Run it after a change of the rules:
`python k8s/make_rules.py`; a test fails while the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "docker" / "prometheus" / "rules"
TARGET = HERE / "components" / "monitoring" / "prometheus-rule.yaml"
_HEAD = "# Made by k8s/make_rules.py from docker/prometheus/rules; change those.\n"


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as they are in the source."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def prometheus_rule(folder: Path = RULES) -> dict[str, Any]:
    """Return the object: the groups of every file, in the order of the files' names."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "blendmask-server",
            "labels": {"app.kubernetes.io/name": "blendmask-server"},
        },
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def main() -> None:
    """Write the file."""
    text = yaml.dump(prometheus_rule(), Dumper=_Dumper, sort_keys=False, width=200)
    TARGET.write_text(_HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main()
