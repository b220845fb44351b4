"""Writes what pyproject.toml asks for as files of requirements, for the image's layers."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

# What one version of torch asks for, and no other.
TIED_TO_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")


def write_requirements(source: Path, target: Path, torch_version: str) -> None:
    """Write constraints.txt, serve.txt and train.txt.

    Args:
        source: the folder of pyproject.toml and constraints.txt.
        target: the folder to write to.
        torch_version: another version of torch than the tested one; torchvision follows it.
    """
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    constraints = (source / "constraints.txt").read_text().splitlines()
    if torch_version:
        constraints = [line for line in constraints if not TIED_TO_TORCH.match(line)]
        constraints.append(f"torch=={torch_version}")
    for name, lines in {
        "constraints.txt": constraints,
        "serve.txt": [*project["dependencies"], *extras["otel"]],
        "train.txt": extras["train"],
    }.items():
        (target / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_requirements(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
