from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.configuration.machine import available_bytes, available_cores, num_oom_kills

MACHINE = {"proc/meminfo": "MemTotal: 900 kB\nMemAvailable: 100 kB\n"}


def root_of(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_system_that_does_not_tell_gives_none(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    group = {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"}
    assert available_bytes(root_of(tmp_path, {**MACHINE, **group})) == 102_400


def test_a_containers_limit_counts_and_cached_files_are_free(tmp_path: Path) -> None:
    group = {
        "sys/fs/cgroup/memory.max": "5000\n",
        "sys/fs/cgroup/memory.current": "4000\n",
        "sys/fs/cgroup/memory.stat": "anon 1000\nactive_file 700\ninactive_file 800\nshmem 9\n",
    }
    assert available_bytes(root_of(tmp_path, {**MACHINE, **group})) == 2500


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    group = {
        "proc/self/cgroup": "0::/system/server\n",
        "sys/fs/cgroup/system/memory.max": "600\n",
        "sys/fs/cgroup/system/memory.current": "500\n",
        "sys/fs/cgroup/system/server/memory.max": "1000\n",
        "sys/fs/cgroup/system/server/memory.current": "400\n",
    }
    assert available_bytes(root_of(tmp_path, {**MACHINE, **group})) == 100


def test_groups_of_the_first_version_are_read_too(tmp_path: Path) -> None:
    group = {
        "proc/self/cgroup": "3:cpu:/elsewhere\n2:cpuacct,memory:/server\n",
        "sys/fs/cgroup/memory/server/memory.limit_in_bytes": "1000\n",
        "sys/fs/cgroup/memory/server/memory.usage_in_bytes": "900\n",
        "sys/fs/cgroup/memory/server/memory.stat": "total_inactive_file 300\n",
    }
    assert available_bytes(root_of(tmp_path, {**MACHINE, **group})) == 400


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
    ],
)
def test_cores_are_those_that_a_container_grants(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    root = root_of(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert available_cores(root) == expected


def test_kills_for_want_of_memory_are_counted(tmp_path: Path) -> None:
    assert num_oom_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 12\noom_kill 3\npgfault 9\n")
    assert num_oom_kills(tmp_path) == 3
