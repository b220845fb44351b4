from __future__ import annotations

from pathlib import Path

import pytest
import toy_data

from model.datasets.sources import find_source


def test_coco_as_downloaded_is_found(tmp_path: Path) -> None:
    written = toy_data.write(tmp_path, [(8, 8)], [])
    (tmp_path / "annotations").mkdir()
    for name in ("instances_train2017.json", "panoptic_train2017.json"):
        (tmp_path / "annotations" / name).write_bytes(written.read_bytes())
    written.unlink()
    (tmp_path / "images").rename(tmp_path / "train2017")
    (tmp_path / "annotations/panoptic_train2017").mkdir()
    source = find_source(tmp_path)
    assert source.annotations == tmp_path / "annotations/instances_train2017.json"
    assert source.images == tmp_path / "train2017"
    assert source.panoptic == tmp_path / "annotations/panoptic_train2017.json"
    assert source.panoptic_images == tmp_path / "annotations/panoptic_train2017"


def test_pictures_beside_a_file_are_found_by_the_first_name(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [], name="labels.json")
    (tmp_path / "labels").mkdir()  # the name fits, but the pictures are elsewhere
    assert find_source(file).images == tmp_path / "images"


def test_the_folder_after_a_colon_is_taken(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [])
    photos = (tmp_path / "images").rename(tmp_path / "elsewhere")
    source = find_source(f"{file}:{photos}")
    assert (source.annotations, source.images) == (file, photos)


def test_pictures_that_are_nowhere_are_asked_for(tmp_path: Path) -> None:
    file = toy_data.write(tmp_path, [(8, 8)], [])
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"instances_train\.json:FOLDER"):
        find_source(file)


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no instances_train2017\.json"):
        find_source(tmp_path)


def test_the_validation_part_is_found_by_its_name(tmp_path: Path) -> None:
    toy_data.write(tmp_path, [(8, 8)], [])
    val = toy_data.write(tmp_path, [(8, 8)], [], name="instances_val.json")
    assert find_source(tmp_path, split="val").annotations == val


@pytest.mark.parametrize(
    ("file", "pictures", "split"),
    [
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("annotations/instances_default.json", "images/default", "train"),
        ("annotations/instances_default.json", "images", "train"),
        ("annotations/instances_Train.json", "images/Train", "train"),
        ("annotations/instances_Validation.json", "images/Validation", "val"),
        ("result.json", "images", "train"),
        ("dataset.json", "", "train"),
    ],
)
def test_the_folders_of_labelling_tools_are_found(
    tmp_path: Path, file: str, pictures: str, split: str
) -> None:
    written = toy_data.write(tmp_path / "made", [(8, 8)], [])
    (tmp_path / "set" / file).parent.mkdir(parents=True)
    written.rename(tmp_path / "set" / file)
    (tmp_path / "set" / pictures).mkdir(parents=True, exist_ok=True)
    (tmp_path / "made/images/001.png").rename(tmp_path / "set" / pictures / "001.png")
    source = find_source(tmp_path / "set", split=split)
    assert source.annotations == tmp_path / "set" / file
    assert (source.images / "001.png").is_file()


def test_pictures_beside_the_folder_of_the_file_are_found(tmp_path: Path) -> None:
    written = toy_data.write(tmp_path / "made", [(8, 8)], [])
    (tmp_path / "runs").mkdir()
    text = written.read_text().replace("001.png", "made/images/001.png")
    (tmp_path / "runs/dataset.json").write_text(text)
    assert find_source(tmp_path / "runs").images == tmp_path
