from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from service.configuration.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def services(name: str = "compose.yml") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text())["services"]
    return found


def test_mounted_folders_exist() -> None:
    mounts = [mount for service in services().values() for mount in service["volumes"]]
    folders = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(folders) == 3
    assert all((DOCKER / folder).is_dir() for folder in folders)


def test_named_volumes_are_declared() -> None:
    declared = yaml.safe_load((DOCKER / "compose.yml").read_text())["volumes"]
    mounts = [mount for service in services().values() for mount in service["volumes"]]
    named = {mount.split(":")[0] for mount in mounts if mount[0] not in ".$"}
    assert named <= set(declared)
    assert "models" in declared  # the default of BLENDMASK_MODELS


def test_variables_are_settings() -> None:
    for name in ("compose.yml", "compose.gpu.yml"):
        variables = services(name)["server"]["environment"]
        short_forms = {"BLENDMASK_WEIGHTS"}
        known = {f"BLENDMASK_{field.upper()}" for field in Settings.model_fields} | short_forms
        assert set(variables) <= known


def test_there_is_time_to_drain() -> None:
    settings = Settings()
    granted = int(services()["server"]["stop_grace_period"].removesuffix("s"))
    assert granted >= settings.grace_s + settings.deadline_s + 2


def test_build_arguments_are_the_dockerfiles() -> None:
    arguments = re.findall(r"^ARG (\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(services()["server"]["build"]["args"]) <= set(arguments)
    described = re.findall(
        r"`([A-Z_]+)`", (DOCKER / "README.md").read_text().split("## Running")[0]
    )
    assert set(arguments) <= set(described)
