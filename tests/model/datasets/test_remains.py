"""Data of which next to nothing of a kind can be used are refused, the cause named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy_data
from toy_data import rectangle

from model.datasets.check_data import check, main
from model.datasets.coco import read_coco
from model.datasets.sources import Source
from model.evaluation.data import open_data


def source_of(file: Path, **options: Any) -> Source:
    return Source(annotations=file, images=file.parent / "images", **options)


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return toy_data.write(folder, [(40, 60)], rows)


def good(number: int) -> list[dict[str, Any]]:
    return [rectangle(1, 3, x, 2, 20, 20) for x in range(number)]


def corners(x: float) -> dict[str, Any]:
    return rectangle(1, 3, x, 9, 12, 14, bbox=[x, 9, x + 12, 23])


LOST: list[tuple[list[dict[str, Any]], str]] = [
    (
        [rectangle(1, 3, x, 2, 9, 9, segmentation=[[1, 2, 3, 4]]) for x in range(31)],
        "masks: 0 of 31 can be used",
    ),
    (
        [
            rectangle(1, 3, 5, 2, 9, 9, segmentation={"size": [60, 40], "counts": [400, 9, 1991]})
            for _ in range(31)
        ],
        "height and width are swapped",
    ),
    ([corners(x) for x in range(20, 40)], "they are corners x0, y0, x1, y1"),
    ([rectangle(1, 3, x, 2, -9, 9) for x in range(31)], "annotations: 0 of 31 can be used"),
]


@pytest.mark.parametrize(("rows", "cause"), LOST)
def test_a_kind_that_is_lost_whole_is_an_error_for_all_who_read(
    tmp_path: Path, rows: list[dict[str, Any]], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, rows)
    assert main(["--data", str(file)]) == 1
    assert cause in capsys.readouterr().out
    with pytest.raises(ValueError, match=cause):
        read_coco([source_of(file)])
    with pytest.raises(ValueError, match=cause):
        open_data(tmp_path / "images", annotations=file)


@pytest.mark.parametrize(("rows", "cause"), LOST)
def test_a_tenth_that_is_left_is_something(
    tmp_path: Path, rows: list[dict[str, Any]], cause: str
) -> None:
    report = check([written(tmp_path, rows + good(len(rows) // 9 + 1))])
    assert "lost" not in {finding.kind for finding in report.findings}
    assert not report.breaks_training
    report = check([written(tmp_path / "fewer", rows + good(1))])
    assert report.breaks_training


def test_each_file_is_judged_by_itself(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, x, 2, 9, 9, segmentation=[[1, 2, 3, 4]]) for x in range(8)]
    first = written(tmp_path / "a", rows + good(2))
    second = written(tmp_path / "b", good(1))
    assert not check([first, first, second]).breaks_training


def test_boxes_without_masks_are_no_loss(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, x, 2, 9, 9, segmentation=None) for x in range(12)]
    assert not check([written(tmp_path, rows)]).breaks_training


def test_annotations_of_pictures_that_are_not_listed_are_no_loss(tmp_path: Path) -> None:
    rows = [rectangle(9, 3, x, 2, 9, 9) for x in range(30)]
    assert not check([written(tmp_path, rows + good(1))]).breaks_training


def test_a_box_far_away_is_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, [*good(1), rectangle(1, 3, 0, 0, 9, 9, bbox=[0, 0, 1e300, 9])])
    assert len(read_coco([source_of(file)]).pictures[0].classes) == 1
    assert {f.kind for f in check([file]).findings} >= {"far_box"}


def test_annotation_ids_from_zero_are_sound(tmp_path: Path) -> None:
    rows = [{**row, "id": number} for number, row in enumerate(good(12))]
    assert {f.kind for f in check([written(tmp_path, rows)]).findings} == {"absent", "gaps"}


def test_all_findings_are_listed_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [rectangle(1, 3, 5 + i, 2, 2, 20, id=100 + i) for i in range(7)]
    file = written(tmp_path, rows)
    main(["--data", str(file)])
    assert "annotation 106" not in capsys.readouterr().out
    main(["--data", str(file), "--list"])
    out = capsys.readouterr().out
    assert [f"annotation {100 + i} of" in out for i in range(7)] == [True] * 7
    assert "…" not in out


def brush(x: float) -> dict[str, Any]:
    mask = {"size": [40, 60], "counts": [400, 9, 1991]}
    return rectangle(1, 3, 10, 0, 1, 9, segmentation=mask, iscrowd=1, id=int(x))


def test_crowds_are_read_as_objects_when_asked_for(tmp_path: Path) -> None:
    file = written(tmp_path, [brush(1), brush(2)])
    report = check([file])
    assert "CVAT's brush writes objects so, --crowds-are-objects reads them" in report.text()
    assert report.breaks_training
    with pytest.raises(ValueError, match="no picture with a usable annotation"):
        read_coco([source_of(file)])
    picture = read_coco([source_of(file, crowds_are_objects=True)]).pictures[0]
    assert picture.is_crowd.tolist() == [False, False]
    (evaluated,) = open_data(
        tmp_path / "images", annotations=file, crowds_are_objects=True
    ).pictures
    assert [a.is_crowd for a in evaluated.annotations] == [False, False]
    assert main(["--data", str(file), "--crowds-are-objects"]) == 0


def test_few_crowds_are_taken_for_crowds(tmp_path: Path) -> None:
    report = check([written(tmp_path, [brush(1), *good(9)])])
    assert "many_crowds" not in {finding.kind for finding in report.findings}


def test_what_there_is_to_learn_from_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = rectangle(1, 3, 5, 5, 9, 9, segmentation=None)
    file = written(tmp_path, [brush(1), box, *good(9)])
    with caplog.at_level("INFO"):
        read_coco([source_of(file)])
    assert "1 pictures, 10 objects, 9 of them with a mask, 1 crowds" in caplog.text
