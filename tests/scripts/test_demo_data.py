"""Pictures with masks, and a teacher's stuff maps, become data that the trainer reads."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from model.coco_categories import COCO_PANOPTIC
from model.datasets.sources import find_source
from model.train.recipes.recipe import Recipe
from model.train.recipes.small import small_2_model
from model.train.samples.dataset import open_data

ROOT = Path(__file__).parents[2]
SKY, WALL, CURTAIN = 187, 199, 109


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("demo_data")


@pytest.fixture
def prepared(program: ModuleType, tmp_path: Path) -> Path:
    """The data of a handful of pictures: 10 fully labelled, and one of each other part."""
    data, stuff = tmp_path / "data", tmp_path / "stuff"
    for part, file, count in (
        ("train", "instances_train.json", 10),
        ("person", "instances_person_all80_boxes.json", 1),
        ("traffic", "instances_traffic.json", 1),
    ):
        _write_part(data, stuff, part, file, count)
    program.prepare_data(data, stuff, tmp_path / "run")
    return tmp_path


def _write_part(data: Path, stuff: Path, part: str, file: str, count: int) -> None:
    """Pictures of 40 × 30: a cat's mask on the left, a dog's box on the right, sky above, a
    curtain below, and a strip of which the teacher says nothing."""
    for folder in (data / part, stuff / part):
        folder.mkdir(parents=True)
    images, rows = [], []
    known = np.full((15, 20), 255, np.uint8)  # at half the size
    known[:7], known[10:] = SKY, CURTAIN
    for number in range(1, count + 1):
        Image.new("RGB", (40, 30)).save(data / part / f"{number}.jpg")
        Image.fromarray(known).save(stuff / part / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 40, "height": 30})
        cat = [[0.0, 10.0, 10.0, 10.0, 10.0, 20.0, 0.0, 20.0]]
        rows.append(_row(2 * number, number, 17, [0, 10, 10, 10], cat))
        rows.append(_row(2 * number + 1, number, 18, [30, 0, 10, 10], None))
    images.append({"id": 99, "file_name": "none.jpg", "width": 40, "height": 30})
    rows.append(_row(999, 99, 18, [0, 0, 10, 10], None))  # a picture without a mask
    categories = [{"id": c.id, "name": c.name} for c in COCO_PANOPTIC.things]
    document = {"images": images, "annotations": rows, "categories": categories}
    (data / file).write_text(json.dumps(document))


def _row(
    number: int, image: int, category: int, bbox: list[int], polygons: list[list[float]] | None
) -> dict[str, object]:
    row = {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0}
    row["area"] = bbox[2] * bbox[3]
    return row if polygons is None else {**row, "segmentation": polygons}


def test_pictures_with_masks_are_parted_and_some_held_out(prepared: Path) -> None:
    ids = {
        part: [p["id"] for p in json.loads((prepared / f"run/{part}.json").read_bytes())["images"]]
        for part in ("instances_train", "instances_holdout", "instances_person", "panoptic_train")
    }
    assert ids["instances_holdout"] == [1, 10]
    assert ids["instances_train"] == ids["panoptic_train"] == list(range(2, 10))
    assert ids["instances_person"] == [1]
    assert not (prepared / "run/panoptic_holdout.json").exists()


def test_stuff_is_what_the_teacher_says_but_for_things(prepared: Path) -> None:
    source = find_source(f"{prepared}/run/instances_train.json:{prepared}/data/train")
    assert source.panoptic is not None
    with Image.open(prepared / "run/panoptic_train/2.png") as image:
        ids = np.asarray(image)[:, :, 0]
    assert ids[2, 2] == SKY
    assert ids[25, 2] == CURTAIN
    assert ids[15, 5] == 17  # the cat's mask
    assert ids[5, 35] == 0  # the dog's box
    assert ids[16, 30] == 0  # unsure
    config = small_2_model(num_stuff=10)
    data = open_data([source], config, Recipe())
    names = [category.name for category in data.categories.stuff]
    assert len(names) == 10
    assert "curtain" not in names
    labels = data[0].semantic_labels
    assert labels is not None
    sky = 1 + names.index("sky-other-merged")
    # What the model does not promise is as good as a thing: it claims no pixel.
    assert set(labels.unique().tolist()) == {0, sky, 255}
