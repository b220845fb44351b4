"""How much memory this process could still take, by the kernel's and the container's account."""

from __future__ import annotations

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
    rooms = [_room_of_machine(root), *(_room_of_group(group) for group in _groups(root))]
    known = [room for room in rooms if room is not None]
    return min(known) if known else None


def _room_of_machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _groups(root: Path) -> list[Path]:
    """Return the folders of the memory control groups that this process is in, outermost first."""
    mount = root / "sys/fs/cgroup"
    folders = [mount, mount / "memory"]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder = mount / "memory" if controllers else mount
        for part in Path(path).parts[1:]:
            folder /= part
            folders.append(folder)
    return folders


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
