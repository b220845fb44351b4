"""Builds the image as this machine can: its own pip settings are lent, and nothing of them stays.

IMAGE_TORCH_INDEX names an index with builds of torch for CPUs. Without it, pip's own settings are
asked for one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torchvision_beside_cpu import make_cpu_wheel

ROOT = Path(__file__).parents[2]
# As .dockerignore lets through.
FILES = ("Dockerfile", ".dockerignore", "constraints.txt", "pyproject.toml", "setup.py")
CONTEXT = (*FILES, "LICENSE", "README.md", "csrc", "docker", "model", "service")
BUILD_FLAGS = shlex.split(
    os.environ.get("IMAGE_BUILD_FLAGS", "--isolation chroot --runtime runc --network host")
)
# Words of the Dockerfile.
INSTALL_STEP = "--requirement /requirements/serve.txt"
COMPILE_STEP = "setup.py --quiet build_ext"
LENT = ("cert", "index-url", "proxy", "timeout", "default-timeout", "trusted-host")
# In every Debian, and empty: a mount there leaves no trace.
WHEELS_INSIDE = "/srv"


@dataclass(frozen=True, kw_only=True)
class Build:
    """What came of a build. log: all that was said."""

    seconds: float
    log: str

    def was_cached(self, step: str) -> bool:
        """Return whether the step that has these words was taken from an earlier build."""
        after = self.log[self.log.index(step) :].splitlines()
        return after[1].startswith("--> Using cache")


def copy_context(target: Path) -> Path:
    """Return a copy of what the image is made of."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in CONTEXT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def cpu_arguments(wheels: Path) -> list[str]:
    """Return build arguments of the CPU variant; wheels that pip has are put into a folder.

    Raises:
        LookupError: there is no build of torch for CPUs.
    """
    wheels.mkdir(parents=True, exist_ok=True)
    if index := os.environ.get("IMAGE_TORCH_INDEX"):
        return ["--build-arg", "VARIANT=cpu", "--build-arg", f"TORCH_INDEX={index}"]
    said = _pip("index", "versions", "torch")
    builds = re.findall(r"\b(\d+\.(\d+)\.\d+\+cpu)\b", said)
    if not builds:
        raise LookupError("pip has no torch for CPUs here; set IMAGE_TORCH_INDEX")
    torch, minor = builds[0]
    _pip("download", "--quiet", "--no-deps", "--dest", str(wheels), f"torch=={torch}")
    if not list(wheels.glob("torchvision-*")):
        make_cpu_wheel(f"0.{int(minor) + 15}.0", wheels)
    return ["--build-arg", "VARIANT=cpu", "--build-arg", f"TORCH_VERSION={torch}"]


def build(context: Path, tag: str, arguments: list[str], wheels: Path) -> Build:
    """Build the image of a folder.

    Raises:
        AssertionError: it cannot be built; with what was said last.
    """
    settings, certificates = _lent_settings(wheels)
    command = ["buildah", "bud", "--layers", "--format", "docker", *BUILD_FLAGS, *arguments]
    command += ["--secret", f"id=pip.conf,src={settings}"]
    for place, inside in {str(wheels): WHEELS_INSIDE, **certificates}.items():
        command += ["--volume", f"{place}:{inside}:ro"]
    begun = time.monotonic()
    done = subprocess.run(
        [*command, "--tag", tag, context],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    settings.with_name("build.log").write_text(done.stdout)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-4000:]}"
    return Build(seconds=time.monotonic() - begun, log=done.stdout)


def _lent_settings(wheels: Path) -> tuple[Path, dict[str, str]]:
    """Return a pip.conf for the build, and files that it names."""
    lent = {"find-links": WHEELS_INSIDE}
    for line in _pip("config", "list").splitlines():
        name, _, quoted = line.partition("=")
        key = name.rpartition(".")[2]
        if key in LENT:
            lent[key] = quoted.strip("'\"")
    settings = wheels.parent / "pip.conf"
    lines = "".join(f"{key} = {value}\n" for key, value in lent.items())
    settings.write_text(f"[global]\n{lines}")
    return settings, {lent["cert"]: lent["cert"]} if "cert" in lent else {}


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
