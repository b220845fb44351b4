"""What this process may use of the machine, by the kernel's and the container's account."""

from __future__ import annotations

import math
import os
from pathlib import Path

_FILES = (  # limit, usage, and the prefix of the statistics' names
    ("memory.max", "memory.current", ""),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be had without swapping; None where the system does not tell.

    The least of the machine's available memory and of what every control group above this
    process leaves; cached files count as free, as the kernel drops them when it needs room.

    Args:
        root: where /proc and /sys are looked for.
    """
    groups = _groups(root, "memory")
    rooms = [_room_of_machine(root), *(_room_of_group(group) for group in groups)]
    known = [room for room in rooms if room is not None]
    return min(known) if known else None


def available_cores(root: Path = Path("/")) -> int:
    """Return the processor cores that may be used at the same time: 1 or more.

    The least of those that this process may be scheduled on and of what every control group
    above it grants.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    shares = [_share_of_group(group) for group in _groups(root, "cpu")]
    return max(1, min([cores, *(math.ceil(share) for share in shares if share is not None)]))


def num_oom_kills(root: Path = Path("/")) -> int:
    """Return how many processes the kernel has killed for want of memory; 0 if it won't tell."""
    for line in _lines(root / "proc/vmstat"):
        name, _, number = line.partition(" ")
        if name == "oom_kill":
            return int(number)
    return 0


def _room_of_machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of the control groups that this process is in, outermost first."""
    mount = root / "sys/fs/cgroup"
    folders = [mount, mount / controller]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = mount / controller if controllers else mount
        for part in Path(path).parts[1:]:
            folder /= part
            folders.append(folder)
    return folders


def _share_of_group(folder: Path) -> float | None:
    """Return the cores' worth of time that a group grants; None without a limit."""
    quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    words = "".join(_lines(folder / "cpu.max")).split()
    if len(words) == 2 and words[0].isdecimal():
        quota, period = int(words[0]), int(words[1])
    return quota / period if quota and period else None


def _room_of_group(folder: Path) -> int | None:
    for limit_name, usage_name, prefix in _FILES:
        limit, usage = (_number(folder / name) for name in (limit_name, usage_name))
        if limit is None or usage is None:
            continue
        cached = {f"{prefix}active_file", f"{prefix}inactive_file"}
        statistics = (line.split() for line in _lines(folder / "memory.stat"))
        usage -= sum(int(words[1]) for words in statistics if words[0] in cached)
        return max(0, limit - max(0, usage))
    return None


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is no such file or no limit ("max")."""
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
