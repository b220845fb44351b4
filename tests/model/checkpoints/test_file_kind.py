from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.checkpoints.file_kind import file_kind


def test_kinds_are_told_by_content_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.txt"
    torch.save({}, path)
    assert file_kind(path) == "torch_zip"
    torch.save({}, path, _use_new_zipfile_serialization=False)
    assert file_kind(path) == "torch_legacy"
    save_file({"a": torch.ones(1)}, path)
    assert file_kind(path) == "safetensors"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol_are_told(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "weights"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    assert file_kind(path) == "pickle"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b'{"error": "denied"}', "is JSON"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip"),
        (b"\x89PNG\r\n\x1a\n", r"it starts with b'\\x89PNG"),
    ],
)
def test_other_files_are_refused_by_what_they_are(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "R_50_3x.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        file_kind(path)
    assert "\n" not in str(caught.value)


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a directory"):
        file_kind(tmp_path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        file_kind(tmp_path / "none.pth")


def test_forbidden_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(ValueError, match=r"cannot be read: Permission denied$"):
        file_kind(tmp_path / "weights.pth")
