"""What a run of the image's tests measured, as bench/results/image.md has it."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Measured:
    """Numbers of one run, each filled in by the test that meets it."""

    base: str = ""
    torch: str = ""
    size_bytes: int = 0
    build_s: float = 0.0
    with_cache: bool = False
    rebuild_s: float = 0.0
    ready_s: float = 0.0
    stop_s: float = 0.0
    resident_bytes: int = 0
    lost: int = 0
    codes: dict[int, int] = field(default_factory=dict)
    turned_away: int = 0


def report(measured: Measured) -> str:
    """Return the page."""
    machine = f"{os.cpu_count()}-core virtual machine, shared with other work"
    codes = ", ".join(f"{count} × {code}" for code, count in sorted(measured.codes.items()))
    rows = {
        "image, uncompressed": f"{measured.size_bytes / 1e9:.2f} GB",
        f"build, {'dependencies from an earlier one' if measured.with_cache else 'the first'}": (
            f"{measured.build_s:.0f} s"
        ),
        "rebuild after a change in `service/`": f"{measured.rebuild_s:.0f} s",
        "start to ready": f"{measured.ready_s:.0f} s",
        "resident memory of all processes, after one picture": (
            f"{measured.resident_bytes / 1e6:.0f} MB"
        ),
        "answers while stopped under load": codes,
        "requests lost": f"{measured.lost}",
        "connections refused once it had stopped": f"{measured.turned_away}",
        "SIGTERM to exit code 0": f"{measured.stop_s:.1f} s",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# The image\n\nWritten by `make image-test`, {datetime.date.today()}: {machine}; "
        f"torch {measured.torch}; base image {measured.base}. The container runs as user 10001 "
        "with a read-only root, no capabilities, no new privileges and 2 GB of memory.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )
