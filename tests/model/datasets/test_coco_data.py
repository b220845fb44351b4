from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_data
from pycocotools import mask as coco_mask
from toy_data import rectangle

from model.categories import Categories, Category
from model.datasets.check_data import check
from model.datasets.coco import CocoData, read_coco
from model.datasets.sources import Source
from model.evaluation.data import open_data
from model.masks.run_lengths import compress

UNUSABLE_MASKS = [
    [[1, 1, 2, 2]],
    [[1, 2, 3, 4, 5]],
    [[1, 2, 3, 4, 5, None]],
    [[1, 2, 3, 4, 5, "six"]],
    [[1, 2, 3, 4, 5, "nan"]],
    [[1, 2], [3, 4]],
    [[1, 2], [3, 4], [5, None]],
    [1, 2, 3, 4],
    [[1, 2, 3, 4, 5, float("nan")]],
    [[1, 2, 3, 4, 5, float("inf")]],
    [[1, 2, 3, 4, 5, 2e8]],
    [[1, 2, 3, 4, 5, 10**30]],
    [[1, 2, 3, 4, 5, -(2**63)]],
    [[-300, 1, 300, 2] * 20],
    {"size": [9, 9], "counts": [81]},
    {"size": [8, 8], "counts": [32, 33]},
    {"size": [8, 8], "counts": [32, 31]},
    {"size": [8, 8], "counts": [40, -8, 32]},
    {"size": [8, 8], "counts": [32.0, 32.0]},
    {"size": [8, 8], "counts": [32, "x"]},
    {"size": [8, 8], "counts": [10**30]},
    {"size": [8, 8], "counts": []},
    {"size": [8, 8], "counts": None},
    {"size": [8, 8], "counts": "0"},
    {"size": [8, 8], "counts": compress([32, 33]).decode()},
    {"size": [8, 8], "counts": compress([32, 32]).decode()[:-1]},
    {"size": [8, 8], "counts": "¼½"},
    {"size": [8, 8], "counts": "  "},
    {},
    "x",
]

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


@pytest.mark.parametrize("segmentation", [None, []])
def test_an_object_without_a_mask_keeps_its_box(tmp_path: Path, segmentation: Any) -> None:
    row = rectangle(1, 3, 1, 1, 4, 4, segmentation=segmentation)
    picture = read(toy_data.write(tmp_path, [(8, 8)], [row])).pictures[0]
    assert picture.shape(0) is None
    assert picture.boxes_xyxy.tolist() == [[1, 1, 5, 5]]


@pytest.mark.parametrize("segmentation", UNUSABLE_MASKS)
def test_an_unusable_mask_is_dropped_by_all_who_read_and_said(
    tmp_path: Path, segmentation: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row = rectangle(1, 3, 1, 1, 4, 4, segmentation=segmentation)
    file = toy_data.write(tmp_path, [(8, 8)] * 2, [row, rectangle(2, 3, 1, 1, 4, 4)])
    picture = read(file).pictures[0]
    assert picture.shape(0) is None
    assert picture.boxes_xyxy.tolist() == [[1, 1, 5, 5]]
    assert "such as annotation 1 of 001.png" in caplog.text
    caplog.clear()
    evaluated, _ = open_data(tmp_path / "images", annotations=file).pictures
    assert evaluated.annotations[0].shape is None
    assert "such as annotation 1 of 001.png" in caplog.text
    assert {"polygon", "run_lengths"} & {finding.kind for finding in check([file]).findings}


def test_one_broken_ring_costs_the_mask_that_ring_alone(tmp_path: Path) -> None:
    square = [1, 1, 5, 1, 5, 5, 1, 5]
    row = rectangle(1, 3, 1, 1, 4, 4, segmentation=[[1, 2, float("nan"), 4, 5, 6], square])
    picture = read(toy_data.write(tmp_path, [(8, 8)], [row])).pictures[0]
    (ring,) = picture.shape(0)
    assert ring.ravel().tolist() == square


def test_objects_that_tiles_were_cut_from_may_reach_far_out(tmp_path: Path) -> None:
    far = rectangle(1, 3, -200, -200, 400, 400)
    picture = read(toy_data.write(tmp_path, [(8, 8)], [far])).pictures[0]
    assert picture.shape(0) is not None


@pytest.mark.parametrize("box", [[5, 5, -4, 4], [1, 1, 0, 4], [9, 9, 4, 4]])
def test_a_box_without_area_in_its_picture_is_left_out_by_all_who_read(
    tmp_path: Path, box: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [rectangle(1, 3, 1, 1, 4, 4), rectangle(1, 3, 1, 1, 4, 4, bbox=box)]
    file = toy_data.write(tmp_path, [(8, 8)], rows)
    assert len(read(file).pictures[0].classes) == 1
    assert "1 boxes without area inside their picture (left out)" in caplog.text
    (evaluated,) = open_data(tmp_path / "images", annotations=file).pictures
    assert [annotation.id for annotation in evaluated.annotations] == [1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d["annotations"][0].update(category_id=99), "category 99"),
        (lambda d: d["annotations"][0].update(bbox=[0, float("nan"), 4, 4]), "nan"),
        (lambda d: d["annotations"][0].update(bbox=[0, 1, 4]), r"bbox \[0, 1, 4\]"),
        (lambda d: d["annotations"][0].update(bbox=None, segmentation=None), "bbox None"),
        (lambda d: d["annotations"].append("text"), "'text'"),
        (lambda d: d["images"][0].update(width=0), "picture"),
        (lambda d: d["images"].append(d["images"][0]), "given more than once"),
        (lambda d: d.update(categories=[{"id": "x", "name": "cup"}]), "sound id and name"),
        (lambda d: d.update(info={"labelled_category_ids": "all"}), "labelled_category_ids"),
    ],
)
def test_what_is_not_sound_is_refused_by_all_who_read(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 3, 0, 0, 4, 4)])
    document = json.loads(file.read_bytes())
    spoil(document)
    file.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message):
        read(file)
    with pytest.raises(ValueError, match=message):
        open_data(tmp_path / "images", annotations=file)
    assert check([file]).breaks_training


def test_the_information_of_a_file_may_be_a_text(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 3, 0, 0, 4, 4)], info="mine")
    assert read(file).labelled.all()
    assert open_data(tmp_path / "images", annotations=file).labelled_ids == {3, 7, 20}


@pytest.mark.parametrize("box", [None, []])
@pytest.mark.parametrize(
    "segmentation",
    [[[1, 2, 5, 2, 5, 7, 1, 7]], {"size": [8, 8], "counts": [10, 5, 3, 5, 3, 5, 3, 5, 25]}],
)
def test_a_missing_box_is_the_masks(tmp_path: Path, box: Any, segmentation: Any) -> None:
    row = rectangle(1, 3, 1, 2, 4, 5, bbox=box, segmentation=segmentation)
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


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="no list 'annotations'"):
        read(path)


def test_data_without_a_usable_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture with a usable annotation"):
        read(toy_data.write(tmp_path, [(8, 8)], []))


def test_more_stuff_than_labels_can_say_is_refused(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 3, 0, 0, 4, 4)])
    panoptic = tmp_path / "panoptic.json"
    stuff = [{"id": 1000 + i, "name": f"s{i}", "isthing": 0} for i in range(255)]
    panoptic.write_text(json.dumps({"images": [], "annotations": [], "categories": stuff}))
    source = Source(
        annotations=file,
        images=tmp_path / "images",
        panoptic=panoptic,
        panoptic_images=tmp_path,
    )
    with pytest.raises(ValueError, match="255 kinds of stuff are too many; at most 254"):
        read_coco([source], semantic=True)
    assert check([source]).breaks_training
