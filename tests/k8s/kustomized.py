"""Reads k8s/: its files as they stand, and what kustomize makes of its folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"

Object = dict[str, Any]

OVERLAYS = sorted(path.parent for path in K8S.glob("overlays/*/kustomization.yaml"))
TRAINING = [K8S / "training" / "trainjob", K8S / "training" / "pytorchjob"]
COMPONENTS = sorted(path.parent for path in K8S.glob("components/*/kustomization.yaml"))


def read_objects(text: str) -> list[Object]:
    """Return the objects of a YAML file."""
    return [item for item in yaml.safe_load_all(text) if item is not None]


def files() -> list[Path]:
    """Return every YAML file below k8s/."""
    return sorted(K8S.rglob("*.yaml"))


def all_objects() -> list[Object]:
    """Return every object below k8s/ as its file has it, patches and values included."""
    return [item for path in files() for item in read_objects(path.read_text())]


def built(folder: Path) -> str:
    """Return what kustomize makes of a folder, as YAML."""
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    return done.stdout


def with_components(folder: Path, overlay: Path, components: Sequence[Path]) -> Path:
    """Write an overlay that adds components to another one; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "blendmask",
        "resources": [os.path.relpath(overlay, folder)],
        "components": [os.path.relpath(each, folder) for each in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(written))
    return folder


def pod_specs(value: Any) -> Iterator[Object]:
    """Return every pod's specification inside a value: whatever has containers."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for member in value.values():
            yield from pod_specs(member)
    elif isinstance(value, list):
        for member in value:
            yield from pod_specs(member)


def strings(value: Any) -> Iterator[str]:
    """Return every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def settings_of(folder: Path) -> dict[str, str]:
    """Return the variables that a kustomization gives the server, those below it included."""
    written = yaml.safe_load((folder / "kustomization.yaml").read_text())
    variables: dict[str, str] = {}
    for below in written.get("resources", []):
        if (folder / below / "kustomization.yaml").is_file():
            variables.update(settings_of(folder / below))
    for generator in written.get("configMapGenerator", []):
        lines = [line for name in generator.get("envs", []) for line in _lines(folder / name)]
        lines += generator.get("literals", [])
        for line in lines:
            name, _, value = line.partition("=")
            variables[name] = value
    return variables


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
