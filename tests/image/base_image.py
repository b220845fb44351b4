"""The image that the Dockerfile stands on, or a stand-in where no registry of images answers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

# What the real one brings: Python and pip by these names, and certificates.
PACKAGES = "ca-certificates,netbase,tzdata,python3,python3-venv,python3-pip"
LINKS = {"python": "python3", "python3": "python3", "pip": "pip3"}


def base_name(dockerfile: Path) -> str:
    """Return the name that the Dockerfile's argument BASE has by default."""
    found = re.search(r"^ARG BASE=(\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert found, f"{dockerfile} has no ARG BASE"
    return found[1]


def provide_base(name: str) -> str:
    """Have an image of that name, and return where from: kept, pulled or made of Debian."""
    if _succeeds("podman", "image", "exists", name):
        return "kept from before"
    if _succeeds("podman", "pull", "--quiet", name):
        return "pulled"
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root],
            check=True,
        )
        for link, target in LINKS.items():
            (root / "usr/local/bin" / link).symlink_to(f"/usr/bin/{target}")
        for cached in (root / "var/cache/apt/archives").glob("*.deb"):
            cached.unlink()
        archive = Path(scratch) / "root.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        subprocess.run(["podman", "import", "--quiet", archive, name], check=True)
    return "made of Debian's packages"


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=300).returncode == 0
