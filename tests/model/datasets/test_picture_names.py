from __future__ import annotations

from pathlib import Path

import pytest

from model.datasets.findings import Findings
from model.datasets.picture_names import names_in

NFC, NFD = "caf\u00e9.png", "cafe\u0301.png"


def found(folder: Path, *written: str) -> tuple[dict[str, str], int]:
    findings = Findings()
    names = names_in(folder, written, findings)
    return names, findings.count("file_name")


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [
        ("a/b.png", "a\\b.png"),
        ("b.png", ".\\b.png"),
        (NFC, NFD),
        (NFD, NFC),
        ("my cat.png", "my%20cat.png"),
        (NFC, "caf%C3%A9.png"),
        ("b.png", "images/b.png"),
        ("b.png", "C:\\Users\\me\\photos\\b.png"),
        ("b.png", "/home/me/photos/b.png"),
        ("a/b.png", "photos/a/b.png"),
        (NFC, f"photos\\{NFD}"),
    ],
)
def test_a_name_written_otherwise_is_found(tmp_path: Path, on_disk: str, written: str) -> None:
    put(tmp_path, on_disk)
    assert found(tmp_path, written) == ({written: on_disk}, 1)


@pytest.mark.parametrize("name", ["a%20b.png", "a\\b.png", NFD, "images/b.png"])
def test_a_name_that_is_there_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, "a b.png", NFC, "b.png")
    assert found(tmp_path, name) == ({name: name}, 0)


def test_two_pictures_never_become_one_file(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    names, changed = found(tmp_path, "a/1.png", "b/1.png", "b/2.png")
    assert names == {"a/1.png": "a/1.png", "b/1.png": "b/1.png", "b/2.png": "2.png"}
    assert changed == 1


def test_a_file_that_has_its_name_is_not_given_to_another(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    assert found(tmp_path, "1.png", "a/1.png")[0]["a/1.png"] == "a/1.png"


@pytest.mark.parametrize("name", ["", "/", "none.png", "a/none.png", "x\0y.png", "é" * 300])
def test_a_name_that_stands_for_nothing_stays(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, name) == ({name: name}, 0)
