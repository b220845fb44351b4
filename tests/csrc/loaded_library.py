"""For `make test-asan`: what it tests is the sanitized library, not the installed one."""

from __future__ import annotations

from pathlib import Path

import model.operations.ops  # noqa: F401

SANITIZED = Path("build/asan/model/operations").resolve()


def test_the_sanitized_library_is_the_only_one_of_ours_that_is_loaded() -> None:
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = {Path(line.split(maxsplit=5)[5]) for line in lines if "_ops_c" in line}
    assert [file.parent for file in files] == [SANITIZED]
    (library,) = files
    assert b"__asan_report_load" in library.read_bytes()
