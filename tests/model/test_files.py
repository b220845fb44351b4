"""Files appear whole or not at all, and nothing half-written is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.files import can_be_written, replacing, write_file


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(b"old and longer")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(b"old")

    def fail(self: Path, data: bytes) -> None:
        self.touch()
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_to_not_replaced() -> None:
    write_file(Path("/dev/null"), b"gone")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, ValueError])
def test_whatever_ends_the_writing_the_old_file_stays_alone(tmp_path: Path, ending: Any) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path, durable=True) as partial:
            partial.write_bytes(b"half")
            raise ending

    with pytest.raises(ending):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_rename_that_fails_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "out.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_can_keep_another_name(tmp_path: Path) -> None:
    path, previous = tmp_path / "a", tmp_path / "b"
    for number in (b"1", b"2", b"3"):
        with replacing(path, durable=True, previous=previous) as partial:
            partial.write_bytes(number)
    assert (path.read_bytes(), previous.read_bytes()) == (b"3", b"2")


def test_the_longest_name_that_a_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125 + ".json")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_has_the_rights_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_file(tmp_path / "own", b"")
    assert (tmp_path / "own").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_device_is_not_judged_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != Path("/dev"))
    assert can_be_written(Path("/dev/null"))
    assert not can_be_written(Path("/dev/none"))


def test_a_folder_and_what_is_in_none_cannot_be_written(tmp_path: Path) -> None:
    assert can_be_written(tmp_path / "new")
    assert not can_be_written(tmp_path)
    assert not can_be_written(tmp_path / "none" / "new")
