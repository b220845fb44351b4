"""What the original's data mapper made of two photos, from the same draws."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import goldens
import numpy as np
import pytest
from PIL import Image

from model.coco_categories import COCO, COCO_PANOPTIC
from model.datasets.coco import CocoData, read_coco
from model.datasets.records import Picture
from model.datasets.sources import Source
from model.masks.rasterise import polygons_on_grid
from model.train.recipes.recipe import RECIPES
from model.train.samples.augment import Crop, Geometry, draw_geometry
from model.train.samples.scene import (
    Scene,
    basis_labels,
    make_scene,
    shapes_of,
    stuff_labels,
    to_sample,
)

MAPPER = goldens.read("_data/mapper") if (goldens.FOLDER / "_data/mapper.json").is_file() else {}
SAMPLES = [
    pytest.param(sample, id=f"{sample['config']}-{Path(sample['image']).stem}-{sample['seed']}")
    for sample in MAPPER.get("samples", ())
]
STEMS = [Path(record["file_name"]).stem for record in MAPPER.get("dataset", ())]
ALL = np.ones(len(COCO.things), dtype=bool)


class OriginalRandom:
    """The original's two generators: the crop's box is Python's to draw, the rest NumPy's."""

    def __init__(self, seed: int, has_crop: bool) -> None:
        self._numpy = np.random.RandomState(seed)
        self._python = random.Random(seed)
        self._is_box_next = has_crop

    def random(self) -> float:
        return float(self._numpy.random_sample())

    def integers(self, low: int, high: int) -> int:
        if self._is_box_next:
            self._is_box_next = False
            return self._python.choice(range(low, high))
        return int(self._numpy.randint(low, high))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoData:
    """The toy data set in COCO's own form, panoptic truth too, read as a user's is."""
    folder = tmp_path_factory.mktemp("coco")
    images, annotations, truths = [], [], []
    for record in MAPPER["dataset"]:
        path = Path(record["file_name"])
        size = {"height": record["height"], "width": record["width"]}
        images.append({"id": record["image_id"], "file_name": path.name, **size})
        for row in record["annotations"]:
            category = COCO.things[row["category_id"]].id
            known = {key: row[key] for key in ("bbox", "segmentation", "iscrowd")}
            annotations.append({"image_id": record["image_id"], "category_id": category, **known})
        truths.append(_write_panoptic(folder, path.stem, record["image_id"]))
    things = [{"id": c.id, "name": c.name, "isthing": 1} for c in COCO.things]
    stuff = [{"id": c.id, "name": c.name, "isthing": 0} for c in COCO_PANOPTIC.stuff]
    for name, rows, categories in (
        ("instances.json", annotations, things),
        ("panoptic.json", truths, things + stuff),
    ):
        document = {"images": images, "annotations": rows, "categories": categories}
        (folder / name).write_text(json.dumps(document))
    source = Source(
        annotations=folder / "instances.json",
        images=goldens.FOLDER / "_images",
        panoptic=folder / "panoptic.json",
        panoptic_images=folder,
    )
    return read_coco([source], semantic=True)


def _write_panoptic(folder: Path, stem: str, image_id: int) -> dict[str, Any]:
    """Write the panoptic truth that separates into the golden labels: one segment a label."""
    labels = goldens.labels(f"_data/panoptic_stuff_train2017/{stem}")
    ids = np.where(labels == 255, 0, 70_000 + 300 * labels)
    channels = [ids % 256, ids // 256 % 256, ids // 65536]
    Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).save(folder / f"{stem}.png")
    segments = [
        {"id": 70_000 + 300 * label, "category_id": COCO_PANOPTIC.of(label, is_thing=label == 0).id}
        for label in np.unique(labels[labels != 255]).tolist()
    ]
    return {"image_id": image_id, "file_name": f"{stem}.png", "segments_info": segments}


def picture_of(data: CocoData, file_name: str) -> Picture:
    pictures = [data.pictures[i] for i in range(len(data.pictures))]
    return next(p for p in pictures if Path(p.file).stem == Path(file_name).stem)


def listed_geometry(sample: dict[str, Any]) -> Geometry:
    steps = dict(sample["transforms"])
    resize = steps["ResizeTransform"]
    record = next(r for r in MAPPER["dataset"] if sample["image"] in r["file_name"])
    crop = None
    if "CropTransform" in steps:
        c = steps["CropTransform"]
        crop = Crop(top=c["y0"], left=c["x0"], height=c["h"], width=c["w"])
    return Geometry(
        source=(record["height"], record["width"]),
        crop=crop,
        height=resize["new_h"],
        width=resize["new_w"],
        flip="HFlipTransform" in steps,
    )


def scene_of(data: CocoData, sample: dict[str, Any]) -> Scene:
    return make_scene(
        picture_of(data, sample["image"]),
        goldens.image(Path(sample["image"]).stem),
        listed_geometry(sample),
        mask_size=56,
        labelled=ALL,
        semantic="sem_seg_shape" in sample,
    )


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_same_draws_give_the_same_transforms(data: CocoData, sample: dict[str, Any]) -> None:
    config = RECIPES[sample["config"]].augment
    picture = picture_of(data, sample["image"])
    chance = OriginalRandom(sample["seed"], config.crop)
    drawn = draw_geometry(chance, picture.height, picture.width, picture.boxes_xyxy, config)
    assert drawn == listed_geometry(sample)


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_are_the_originals(data: CocoData, sample: dict[str, Any]) -> None:
    scene = scene_of(data, sample)
    made = to_sample(scene, colour=None, channels="bgr", labelled=ALL, image_id=0)
    assert list(made.pixels.shape) == sample["image_shape"]
    assert digest(made.pixels.numpy()) == sample["image_sha256"]
    np.testing.assert_array_equal(
        made.boxes_xyxy.numpy(), np.array(sample["boxes"], dtype=np.float32)
    )
    assert made.classes.tolist() == sample["classes"]
    assert digest(scene.basis_labels) == sample["basis_sem_sha256_uint8"]
    np.testing.assert_array_equal(made.basis_labels.numpy(), scene.basis_labels[::8, ::8])
    if "sem_seg_shape" in sample:
        assert made.semantic_labels is not None
        assert digest(made.semantic_labels.numpy()) == sample["sem_seg_sha256_uint8"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_masks_are_those_of_the_originals_polygons(data: CocoData, sample: dict[str, Any]) -> None:
    expected = [
        polygons_on_grid(
            [np.array(p).reshape(-1, 2) for p in polygons], np.array(box, dtype=np.float32), 56
        )
        for polygons, box in zip(sample["polygons"], sample["boxes"], strict=True)
    ]
    np.testing.assert_array_equal(scene_of(data, sample).objects.masks, np.stack(expected))


@pytest.mark.parametrize("stem", STEMS)
def test_prepared_maps_are_made_on_the_fly(data: CocoData, stem: str) -> None:
    picture = picture_of(data, stem)
    things = np.load(goldens.FOLDER / f"_data/thing_train2017/{stem}.npz")["mask"]
    np.testing.assert_array_equal(basis_labels(picture, shapes_of(picture), ALL), things)
    assert picture.panoptic is not None
    stuff = goldens.labels(f"_data/panoptic_stuff_train2017/{stem}")
    np.testing.assert_array_equal(stuff_labels(picture.panoptic, *stuff.shape), stuff)
