from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_data
from pycocotools import mask as coco_mask
from toy_data import rectangle

from model.categories import Categories, Category
from model.datasets.coco import CocoData, read_coco
from model.datasets.sources import Source

PERSON = {"id": 1, "name": "person"}
CAR = {"id": 3, "name": "car"}


def read(*files: Path, **options: Any) -> CocoData:
    return read_coco([Source(annotations=f, images=f.parent / "images") for f in files], **options)


def test_classes_are_counted_in_the_order_of_ids(tmp_path: Path) -> None:
    file = toy_data.write(
        tmp_path, [(8, 8)], [rectangle(1, 20, 0, 0, 4, 4)], categories=toy_data.THREE[::-1]
    )
    data = read(file)
    assert data.categories == Categories.from_coco(file)
    assert data.pictures[0].classes.tolist() == [2]


def test_pictures_without_usable_annotation_are_left_out(tmp_path: Path) -> None:
    crowd = rectangle(2, 3, 0, 0, 4, 4, iscrowd=1)
    file = toy_data.write(tmp_path, [(8, 8)] * 3, [rectangle(1, 3, 0, 0, 4, 4), crowd])
    assert (len(read(file).pictures), read(file).left_out) == (1, 2)
    assert len(read(file, keep_empty=True).pictures) == 3


def test_run_lengths_are_read_compressed_or_not(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8, order="F")
    mask[1:4, 2:7] = 1
    packed = coco_mask.encode(mask)
    plain = {"size": [6, 8], "counts": [13, 3, 3, 3, 3, 3, 3, 3, 3, 3, 8]}
    compressed = {"size": [6, 8], "counts": packed["counts"].decode()}
    rows = [rectangle(1, 3, 2, 1, 5, 3, segmentation=s) for s in (plain, compressed)]
    picture = read(toy_data.write(tmp_path, [(6, 8)], rows)).pictures[0]
    assert picture.shape(0) == picture.shape(1) == packed


@pytest.mark.parametrize(
    "segmentation",
    [None, [], [[1, 1, 2, 2]], [[1, 2, 3, 4, 5]], {"size": [9, 9], "counts": [81]}, "x"],
)
def test_an_object_with_an_unusable_mask_keeps_its_box(tmp_path: Path, segmentation: Any) -> None:
    row = rectangle(1, 3, 1, 1, 4, 4, segmentation=segmentation)
    picture = read(toy_data.write(tmp_path, [(8, 8)], [row])).pictures[0]
    assert picture.shape(0) is None
    assert picture.boxes_xyxy.tolist() == [[1, 1, 5, 5]]


def test_a_missing_box_is_the_masks(tmp_path: Path) -> None:
    row = rectangle(1, 3, 1, 2, 4, 5)
    del row["bbox"]
    picture = read(toy_data.write(tmp_path, [(8, 8)], [row])).pictures[0]
    assert picture.boxes_xyxy.tolist() == [[1, 2, 5, 7]]


def test_data_sets_share_the_classes_of_the_same_id_and_name(tmp_path: Path) -> None:
    first = toy_data.write(
        tmp_path / "a", [(8, 8)], [rectangle(1, 3, 0, 0, 4, 4)], categories=[PERSON, CAR]
    )
    second = toy_data.write(
        tmp_path / "b",
        [(8, 8)],
        [rectangle(1, 1, 0, 0, 4, 4)],
        categories=[PERSON],
        info={"labelled_category_ids": [1]},
    )
    data = read(first, second)
    assert [c.name for c in data.categories.things] == ["person", "car"]
    assert data.labelled.tolist() == [[True, True], [True, False]]
    assert [data.pictures[i].classes.tolist() for i in range(2)] == [[1], [0]]
    assert [data.pictures[i].source for i in range(2)] == [0, 1]


@pytest.mark.parametrize("other", [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}])
def test_categories_that_contradict_each_other_are_refused(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    first = toy_data.write(tmp_path / "a", [(8, 8)], [], categories=[PERSON])
    second = toy_data.write(tmp_path / "b", [(8, 8)], [], categories=[other])
    with pytest.raises(ValueError, match="ids and names must agree"):
        read(first, second)


def test_only_the_classes_wanted_are_read(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, 0, 0, 4, 4), rectangle(1, 7, 0, 0, 4, 4)]
    wanted = Categories(name="spoons", things=(Category(id=7, name="spoon"),))
    data = read(toy_data.write(tmp_path, [(8, 8)], rows), categories=wanted)
    assert data.categories == wanted
    assert data.pictures[0].classes.tolist() == [0]


def test_an_annotation_of_an_unknown_category_is_named(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 99, 0, 0, 4, 4)])
    with pytest.raises(ValueError, match=r"picture 1 .*\[99\]"):
        read(file)


def test_a_box_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 3, 0, float("nan"), 4, 4)])
    with pytest.raises(ValueError, match="nan"):
        read(file)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="no list 'annotations'"):
        read(path)


def test_data_without_a_usable_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture with a usable annotation"):
        read(toy_data.write(tmp_path, [(8, 8)], []))
