"""YOLO's segmentation folders are read as COCO's data are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy_data
import yaml
from PIL import Image

from model.datasets.check_data import check
from model.datasets.coco import read_coco
from model.datasets.sources import Source, find_source
from model.evaluation.data import open_data

_SQUARE = "0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5"


def written(
    folder: Path,
    texts: dict[str, str],
    *,
    images: str = "images/train",
    labels: str = "labels/train",
    **content: Any,
) -> Path:
    """Write a picture of 32×16 for each text, empty ones without a file; return the YAML file."""
    for place in (images, labels):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(texts.items()):
        Image.fromarray(toy_data.noise(16, 32, number)).save(folder / images / f"{name}.png")
        if text:
            (folder / labels / f"{name}.txt").write_text(text)
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({"names": ["cup", "spoon"], "train": images, **content}))
    return path


def read(source: Source) -> list[Any]:
    pictures = read_coco([source]).pictures
    return [pictures[index] for index in range(len(pictures))]


def test_polygons_and_boxes_are_scaled_to_the_picture(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": f"1.0 {_SQUARE}\n0 0.5 0.5 0.5 0.25\n", "b": f"0 {_SQUARE}"})
    first, second = read(find_source(tmp_path))
    assert first.boxes_xyxy.tolist() == [[8, 4, 24, 8], [8, 6, 24, 10]]
    assert first.classes.tolist() == [1, 0]
    (ring,) = first.shape(0)
    assert ring.tolist() == [[8, 4], [24, 4], [24, 8], [8, 8]]
    assert first.shape(1) is None
    assert second.classes.tolist() == [0]
    data = open_data(tmp_path / "images/train", annotations=path)
    assert [len(picture.annotations) for picture in data.pictures] == [2, 1]
    assert data.instances is not None
    assert [c.name for c in data.instances.categories.things] == ["cup", "spoon"]


@pytest.mark.parametrize(
    ("images", "labels", "content"),
    [
        ("images/train", "labels/train", {}),
        ("train/images", "train/labels", {"train": "../train/images"}),
        ("train/images", "train/labels", {"train": ["train/images"], "path": "/nowhere/at/all"}),
        ("all", "all", {}),
        ("set/images", "set/labels", {"path": "set", "train": "images"}),
        ("images/train", "labels/train", {"names": {0: "cup", 1: "spoon"}}),
    ],
)
def test_pictures_and_texts_are_found(
    tmp_path: Path, images: str, labels: str, content: dict[str, Any]
) -> None:
    texts = {"a": f"1 {_SQUARE}"}
    path = written(tmp_path, texts, images=images, labels=labels, **content)
    for given in (path, tmp_path):
        (picture,) = read(find_source(given))
        assert picture.boxes_xyxy.tolist() == [[8, 4, 24, 8]]


def test_each_part_has_its_pictures(tmp_path: Path) -> None:
    written(tmp_path, {"b": f"0 {_SQUARE}"}, images="images/val", labels="labels/val")
    written(tmp_path, {"a": f"1 {_SQUARE}"}, val="images/val")
    assert read(find_source(tmp_path, split="val"))[0].classes.tolist() == [0]
    assert find_source(tmp_path) != find_source(tmp_path, split="val")


def test_pictures_are_measured_upright(tmp_path: Path) -> None:
    written(tmp_path, {"a": f"1 {_SQUARE}"})
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images/train/a.png").unlink()
    Image.new("RGB", (32, 16)).save(tmp_path / "images/train/a.jpg", exif=exif)
    (picture,) = read(find_source(tmp_path))
    assert (picture.height, picture.width) == (32, 16)
    assert picture.boxes_xyxy.tolist() == [[4, 8, 12, 16]]


@pytest.mark.parametrize(
    "line", ["1", "cup 0 0 1 0 1 1", "1 0 0 1", "1 0 0 1 0 1 x", "1 nan 0 1 1"]
)
def test_a_line_that_is_no_outline_is_left_out_and_said(tmp_path: Path, line: str) -> None:
    written(tmp_path, {"a": f"{line}\n\n1 {_SQUARE}\n"})
    source = find_source(tmp_path)
    assert len(read(source)[0].classes) == 1
    report = check([source])
    assert {f.kind: f.count for f in report.findings}["label_line"] == 1
    assert repr(line) in report.text()


def test_a_class_that_has_no_name_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, {"a": f"7 {_SQUARE}\n1 {_SQUARE}"})
    with pytest.raises(ValueError, match="category 7"):
        read(find_source(tmp_path))


def test_a_picture_without_a_text_is_background(tmp_path: Path) -> None:
    written(tmp_path, {"a": "", "b": f"1 {_SQUARE}"})
    source = find_source(tmp_path)
    assert len(read(source)) == 1
    assert len(read_coco([source], keep_empty=True).pictures) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"names": 3}, "names is 3"),
        ({"train": "nowhere"}, "train is 'nowhere', and there is no such folder"),
        ({"train": ["a", "b"]}, "it must be one folder"),
        ({"train": "images"}, "none of the pictures"),
    ],
)
def test_what_cannot_be_found_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, {"a": ""}, **content)
    with pytest.raises(ValueError, match=message):
        read(find_source(path))


def test_a_broken_yaml_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: [")
    with pytest.raises(ValueError, match="not a readable YAML file"):
        find_source(path)
