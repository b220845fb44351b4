from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy_data
from PIL import Image
from toy_data import rectangle

from model.datasets.check_data import check, main

GOOD = rectangle(1, 3, 2, 2, 20, 20)


def kinds(path: Path, **options: Any) -> dict[str, int]:
    return {finding.kind: finding.count for finding in check([path], **options).findings}


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_sound_data_are_fit_for_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    categories = [{"id": 3, "name": "cup"}]
    rows = [rectangle(1, 3, x, 2, 20, 20) for x in range(10)]
    path = toy_data.write(tmp_path, [(40, 60)], rows, categories=categories)
    assert kinds(path) == {}
    assert main(["--data", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 pictures, 10 annotations, 1 classes" in out
    assert out.endswith("Fit for training.\n")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (rectangle(1, 3, 50, 2, 20, 20), "outside"),
        (rectangle(1, 3, 70, 2, 20, 20), "empty_box"),
        (rectangle(1, 3, 5, 2, 0, 20), "empty_box"),
        (rectangle(1, 3, 50, 20, -40, 10), "empty_box"),
        (rectangle(1, 3, 5, 2, 3, 20), "tiny"),
        (rectangle(1, 3, 5, 2, 20, 20, segmentation=[[1, 2, 3, 4]]), "polygon"),
        (rectangle(1, 3, 5, 2, 20, 20, segmentation=[[1, 2, 3, 4, 2e8, 6]]), "polygon"),
        (rectangle(1, 3, 5, 2, 20, 20, segmentation=[]), "no_mask"),
        (rectangle(1, 3, 5, 2, 20, 20, segmentation=[[40, 30, 50, 30, 50, 39]]), "apart"),
        (
            rectangle(1, 3, 5, 2, 9, 9, segmentation={"size": [9, 9], "counts": [81]}),
            "run_lengths",
        ),
        (
            rectangle(1, 3, 5, 2, 9, 9, segmentation={"size": [40, 60], "counts": "04"}),
            "run_lengths",
        ),
        (rectangle(1, 3, 5, 2, 20, 20, iscrowd=1), "crowd"),
        (rectangle(1, 99, 5, 2, 20, 20), "category"),
        (rectangle(9, 3, 5, 2, 20, 20), "stranger"),
        (rectangle(1, 3, 5, 2, 20, 20, bbox=[1, 2, 3]), "annotation_row"),
        (rectangle(1, 3, 2, 2, 20, 20), "same_object"),
        (rectangle(1, 3, 5, 2, 20, 20, id=1), "annotation_id"),
    ],
)
def test_a_bad_annotation_is_found(tmp_path: Path, row: dict[str, Any], kind: str) -> None:
    assert kind not in kinds(toy_data.write(tmp_path, [(40, 60)], [GOOD]))
    assert kinds(toy_data.write(tmp_path, [(40, 60)], [GOOD, row])).get(kind) == 1


def test_files_are_looked_at(tmp_path: Path) -> None:
    path = toy_data.write(tmp_path, [(40, 60)] * 4, [GOOD])
    (tmp_path / "images/002.png").unlink()
    Image.new("RGB", (40, 60)).save(tmp_path / "images/003.png")
    broken = tmp_path / "images/004.png"
    broken.write_bytes(broken.read_bytes()[:-60])
    found = kinds(path)
    assert (found["missing"], found["size"], found["undecodable"]) == (1, 1, 1)
    assert "undecodable" not in kinds(path, quick=True)
    assert kinds(path, quick=True)["size"] == 1


def test_picture_rows_are_looked_at(tmp_path: Path) -> None:
    path = toy_data.write(tmp_path, [(40, 60)] * 2, [GOOD])

    def spoil(document: dict[str, Any]) -> None:
        first = document["images"][0]
        document["images"] += [first, {**first, "id": 9}, {"id": 7, "file_name": "x.png"}]

    found = kinds(changed(path, spoil))
    assert (found["picture_id"], found["same_file"], found["picture_row"]) == (1, 1, 1)
    assert found["unlabelled"] == 2


def test_a_picture_whose_annotations_cannot_be_used_is_not_called_one_of_crowds(
    tmp_path: Path,
) -> None:
    lost = rectangle(2, 3, 5, 2, -20, 20)
    found = kinds(toy_data.write(tmp_path, [(40, 60)] * 2, [GOOD, lost]))
    assert found["nothing_left"] == 1
    assert "only_crowd" not in found


def test_classes_without_objects_and_gaps_are_told(tmp_path: Path) -> None:
    report = check([toy_data.write(tmp_path, [(40, 60)], [GOOD])])
    found = {finding.kind: finding for finding in report.findings}
    assert found["absent"].examples == ["spoon: 0", "plate: 0"]
    assert found["rare"].examples == ["cup: 1"]
    assert found["gaps"].count == 1
    assert not report.breaks_training


def test_a_picture_with_crowds_only_is_told(tmp_path: Path) -> None:
    crowd = rectangle(2, 3, 5, 2, 20, 20, iscrowd=1)
    assert kinds(toy_data.write(tmp_path, [(40, 60)] * 2, [GOOD, crowd]))["only_crowd"] == 1


def test_data_without_objects_break_training(tmp_path: Path) -> None:
    path = toy_data.write(tmp_path, [(40, 60)], [])
    assert kinds(path)["no_pictures"] == 1
    assert main(["--data", str(path)]) == 1


def test_a_file_that_cannot_be_read_is_an_error_and_no_crash(tmp_path: Path) -> None:
    assert main(["--data", str(tmp_path / "none.json")]) == 1


def test_data_sets_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    first = toy_data.write(tmp_path / "a", [(40, 60)], [GOOD])
    other = [{"id": 3, "name": "mug"}]
    second = toy_data.write(tmp_path / "b", [(40, 60)], [GOOD], categories=other)
    report = check([first, second])
    assert report.breaks_training
    assert "ids and names must agree" in report.text()


def test_a_partly_labelled_set_is_told(tmp_path: Path) -> None:
    path = toy_data.write(tmp_path, [(40, 60)], [GOOD], info={"labelled_category_ids": [3]})
    (partial,) = [f for f in check([path]).findings if f.kind == "partial"]
    assert partial.examples == ["instances_train: cup"]


def test_only_the_first_examples_are_shown(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, 5 + i, 2, 2, 20) for i in range(5)]
    report = check([toy_data.write(tmp_path, [(40, 60)], rows)])
    (tiny,) = [f for f in report.findings if f.kind == "tiny"]
    assert (tiny.count, len(tiny.examples)) == (5, 3)
    assert "warning: 5 boxes under 4 pixels" in report.text()
