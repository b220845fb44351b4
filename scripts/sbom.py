"""Writes what a server is made of as a CycloneDX bill of materials.

    python scripts/sbom.py --cyclonedx PROGRAM [--output dist/sbom.json]

It describes the environment that runs this, without what only develops and tests the server.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION = "blendmask-server"
# Part of the container image, as the container's environment has it.
EXTRAS = ("otel",)


def main() -> int:
    """Write the file; return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cyclonedx", required=True, help="the program cyclonedx-py")
    parser.add_argument("--output", type=Path, default=Path("dist/sbom.json"))
    given = parser.parse_args()
    command = [given.cyclonedx, "environment", "--pyproject", "pyproject.toml", sys.executable]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    bill = keep(json.loads(said), needed(DISTRIBUTION, EXTRAS))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(bill, indent=1) + "\n")
    sys.stdout.write(f"{given.output}: {len(bill['components'])} components\n")
    return 0


def needed(name: str, extras: tuple[str, ...]) -> set[str]:
    """Return the names of all installed distributions that one needs, itself apart."""
    found: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        at = waiting.pop()
        if at in found:
            continue
        found.add(at)
        for line in distribution(at[0]).requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": at[1]}):
                waiting += [(canonicalize_name(required.name), e) for e in ("", *required.extras)]
    return {found_name for found_name, _ in found} - {name}


def keep(bill: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a bill with these components only, and without files of this machine.

    Raises:
        ValueError: it lacks one of them.
    """
    components = [c for c in bill["components"] if canonicalize_name(c["name"]) in names]
    if missing := names - {canonicalize_name(c["name"]) for c in components}:
        raise ValueError(f"the bill of materials lacks {', '.join(sorted(missing))}")
    for component in components:
        references = component.pop("externalReferences", [])
        public = [it for it in references if not it["url"].startswith("file:")]
        component.update({"externalReferences": public} if public else {})
    kept = {c["bom-ref"] for c in components} | {bill["metadata"]["component"]["bom-ref"]}
    links = [
        {**link, "dependsOn": [ref for ref in link.get("dependsOn", ()) if ref in kept]}
        for link in bill.get("dependencies", ())
        if link["ref"] in kept
    ]
    return {**bill, "components": components, "dependencies": links}


if __name__ == "__main__":
    sys.exit(main())
