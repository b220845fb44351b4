from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("untested_packages")


def test_other_and_unknown_versions_are_named(untested: Any) -> None:
    tested = untested.pinned("# the tested set\nhttpx==0.28.1\nPy_YAML==6.0\ntorch==2.14.1\n")
    installed = {"py-yaml": "6.0", "torch": "2.15.0", "httpx": "0.28.1", "absl.py": "2.5"}
    assert list(untested.differences(tested, installed)) == [
        "absl-py 2.5, tested with none",
        "torch 2.15.0, tested with 2.14.1",
    ]


def test_the_tested_set_can_be_read(untested: Any) -> None:
    tested = untested.pinned((ROOT / "constraints.txt").read_text())
    assert {"torch", "uvicorn", "pytest"} <= set(tested)
