"""What labelling tools write in ways of their own is read as COCO's, and said once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy_data
from toy_data import rectangle

from model.datasets.check_data import check
from model.datasets.coco import CocoData, read_coco
from model.datasets.sources import Source
from model.evaluation.data import open_data

_SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
_PAIRS = [[1, 1], [5, 1], [5, 5], [1, 5]]
_TEXTS = [str(value) for value in _SQUARE]


def read(file: Path) -> CocoData:
    return read_coco([Source(annotations=file, images=file.parent / "images")])


def plain(folder: Path) -> Path:
    rows = [rectangle(1, 3, 1, 1, 4, 4), rectangle(2, 7, 1, 1, 4, 4)]
    return toy_data.write(folder, [(8, 10)] * 2, rows)


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    return path


def assert_read_as_plain(file: Path, kinds: dict[str, int], said: str) -> None:
    expected = read(plain(file.parent / "plain"))
    found = read(file)
    assert found.categories.things == expected.categories.things
    for index in range(2):
        one, other = found.pictures[index], expected.pictures[index]
        assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()
        assert one.classes.tolist() == other.classes.tolist()
        assert one.stored_shapes == other.stored_shapes
        assert one.is_crowd.tolist() == other.is_crowd.tolist()
        assert (one.height, one.width) == (other.height, other.width)
    report = check([file])
    assert {f.kind: f.count for f in report.findings if f.severity == "change"} == kinds
    assert not report.breaks_training
    assert said in report.text()
    evaluated = open_data(file.parent / "images", annotations=file)
    assert [len(picture.annotations) for picture in evaluated.pictures] == [1, 1]


def set_masks(*segmentations: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for row, segmentation in zip(document["annotations"], segmentations, strict=False):
            row["segmentation"] = segmentation

    return change


def as_text(document: dict[str, Any], table: str, *keys: str) -> None:
    for row in document[table]:
        for key in keys:
            value = row[key]
            row[key] = [str(v) for v in value] if isinstance(value, list) else str(value)


def name_by_address(document: dict[str, Any]) -> None:
    for row in document["images"]:
        row["coco_url"] = "http://x/val/" + row.pop("file_name")


def pad_ids(document: dict[str, Any]) -> None:
    for row in document["images"]:
        row["id"] = f"{row['id']:04d}"


@pytest.mark.parametrize(
    ("change", "kinds", "said"),
    [
        (set_masks(_SQUARE), {"flat_polygon": 1}, "1 masks of one polygon"),
        (set_masks(_TEXTS), {"flat_polygon": 1, "text_number": 1}, "1 masks of one polygon"),
        (set_masks([_PAIRS], [_PAIRS]), {"point_pairs": 2}, "2 masks of polygons in pairs"),
        (set_masks(_PAIRS), {"flat_polygon": 1, "point_pairs": 1}, "pairs of points"),
        (set_masks([_TEXTS]), {"text_number": 1}, "numbers as text"),
        (lambda d: as_text(d, "images", "width", "height"), {"text_number": 2}, "001.png"),
        (lambda d: as_text(d, "annotations", "bbox", "area"), {"text_number": 2}, "of 001.png"),
        (lambda d: as_text(d, "annotations", "iscrowd"), {"text_number": 2}, "of 001.png"),
        (lambda d: as_text(d, "annotations", "category_id"), {"text_number": 2}, "of 001.png"),
        (lambda d: as_text(d, "categories", "id"), {}, "2 pictures"),
        (lambda d: as_text(d, "annotations", "image_id"), {"image_id": 2}, "'1', which is 1"),
        (lambda d: as_text(d, "images", "id"), {"image_id": 2}, "1, which is '1'"),
        (lambda d: d["annotations"][0].update(image_id=1.0), {}, "2 pictures"),
        (lambda d: name_by_address(d), {"address": 2, "file_name": 2}, "http://x/val/001.png"),
        (lambda d: pad_ids(d), {"image_id": 2}, "1, which is '0001'"),
    ],
)
def test_what_tools_write_is_read_as_coco(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], kinds: dict[str, int], said: str
) -> None:
    assert_read_as_plain(changed(plain(tmp_path), change), kinds, said)


def test_a_change_is_said_once_where_training_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(changed(plain(tmp_path), set_masks(_SQUARE, _SQUARE)))
    (line,) = caplog.messages
    assert "2 masks of one polygon that is in no list (read as one)" in line


@pytest.mark.parametrize("other", [1, "01", "1_0"])
def test_ids_that_may_mean_two_pictures_are_not_guessed(tmp_path: Path, other: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["images"][0]["id"] = "1"
        document["images"][1]["id"] = other
        document["annotations"][0]["image_id"] = "001" if other != "1_0" else 10
        document["annotations"][1]["image_id"] = other

    data = read(changed(plain(tmp_path), change))
    assert [data.pictures[i].image_id for i in range(len(data.pictures))] == [other]


@pytest.mark.parametrize("name", ["things", "cup"])
def test_a_category_that_groups_the_others_is_left_out(tmp_path: Path, name: str) -> None:
    def change(document: dict[str, Any]) -> None:
        for row in document["categories"]:
            row["supercategory"] = name
        document["categories"].insert(0, {"id": 0, "name": name, "supercategory": "none"})

    assert_read_as_plain(changed(plain(tmp_path), change), {"root_category": 1}, f"0 '{name}'")


def test_a_group_that_has_objects_is_a_category(tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for row in document["categories"]:
            row["supercategory"] = "things"
        document["categories"].append({"id": 0, "name": "things", "supercategory": "none"})
        document["annotations"][0]["category_id"] = 0

    data = read(changed(plain(tmp_path), change))
    assert data.categories.things[0].name == "things"
