"""Names the installed packages that constraints.txt, the tested set, lacks or has otherwise.

    python scripts/untested_packages.py [constraints.txt]

It looks at the environment that runs it. Where tests fail there, one of them is to blame.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path


def main() -> int:
    """Print a line for each; return 0."""
    path = Path(sys.argv[1] if sys.argv[1:] else "constraints.txt")
    installed = {found.name: found.version for found in distributions()}
    for line in differences(pinned(path.read_text()), installed):
        sys.stdout.write(f"{line}\n")
    return 0


def pinned(constraints: str) -> dict[str, str]:
    """Return version by name of lines such as `name==1.0`."""
    lines = (line.partition("==") for line in constraints.splitlines())
    return {name.strip(): version.strip() for name, equals, version in lines if equals}


def differences(tested: Mapping[str, str], installed: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs, by name, however names are written."""
    versions = {_canonical(name): version for name, version in tested.items()}
    for name, version in sorted((_canonical(name), version) for name, version in installed.items()):
        if versions.get(name) != version:
            yield f"{name} {version}, tested with {versions.get(name, 'none')}"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
