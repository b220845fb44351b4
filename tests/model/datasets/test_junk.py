"""Whatever stands in a file, it is read or refused in words; nothing else is raised."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_data
from PIL import Image
from toy_data import rectangle

from model.datasets.check_data import check
from model.datasets.coco import read_coco
from model.datasets.sources import Source
from model.evaluation.data import open_data
from model.evaluation.truth import true_objects, true_partition

_JUNK: list[Any] = [None, True, False, 0, -1, 2, 1.5, -0.0, 10**30, -(10**30), 1e308, -1e308]
_JUNK += [float("nan"), float("inf"), float("-inf"), "", "1", "-1", "1e400", "nan", "x", "\0"]
_JUNK += ["\ud800", "é" * 300, "../..", "/", "C:\\", "%00", "_", [], {}, [[]], [None], [{}]]
_JUNK += [{"id": []}, [1, 2], [[1, 2], [3, 4], [5, 6]], [float("nan")] * 6, [10**30] * 6, ["1"] * 6]
_JUNK += [{"size": [8, 10], "counts": [80]}, {"size": ["8", "10"], "counts": ["80"]}]
_JUNK += [{"size": [8, 10], "counts": [10**30]}, {"size": None, "counts": {}}]


def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    rle = {"size": [8, 10], "counts": [10, 5, 65]}
    rows = [
        rectangle(1, 3, 1, 1, 4, 4),
        rectangle(2, 7, 1, 1, 4, 4),
        rectangle(2, 7, 1, 2, 1, 5, segmentation=rle, iscrowd=1),
    ]
    pictures = [{"id": i, "file_name": f"{i:03d}.png", "height": 8, "width": 10} for i in (1, 2)]
    things = [{**row, "supercategory": "all", "isthing": 1} for row in toy_data.THREE]
    instances = {
        "info": {"labelled_category_ids": [3, 7, 20]},
        "images": pictures,
        "annotations": [{"id": i, **row} for i, row in enumerate(rows)],
        "categories": things,
    }
    segments = [{"id": 9, "category_id": 3, "iscrowd": 0}, {"id": 5, "category_id": 30}]
    partitions = [
        {"image_id": i, "file_name": f"{i:03d}.png", "segments_info": copy.deepcopy(segments)}
        for i in (1, 2)
    ]
    grass = {"id": 30, "name": "grass", "isthing": 0}
    panoptic = {
        "images": pictures,
        "annotations": partitions,
        "categories": [*things, grass],
    }
    return copy.deepcopy(instances), copy.deepcopy(panoptic)


def spoil(value: Any, chance: random.Random) -> Any:
    """Put junk in one place of a document, deep in it rather than at its top."""
    is_inner = isinstance(value, dict | list) and len(value) > 0
    if not is_inner or chance.random() < 0.05:
        return copy.deepcopy(chance.choice(_JUNK))
    key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    value[key] = spoil(value[key], chance)
    return value


@pytest.mark.parametrize("seed", range(300))
def test_junk_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "images").mkdir()
    (tmp_path / "maps").mkdir()
    for i in (1, 2):
        Image.fromarray(toy_data.noise(8, 10, i)).save(tmp_path / f"images/{i:03d}.png")
        ids = np.zeros((8, 10, 3), dtype=np.uint8)
        ids[:, :, 0] = 5
        ids[2:5, 2:5, 0] = 9
        Image.fromarray(ids).save(tmp_path / f"maps/{i:03d}.png")
    files = []
    for name, document in zip(("instances", "panoptic"), documents(), strict=True):
        for _ in range(chance.randrange(3)):
            document = spoil(document, chance)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    source = Source(
        annotations=files[0],
        images=tmp_path / "images",
        panoptic=files[1],
        panoptic_images=tmp_path / "maps",
    )
    report = check([source])
    report.text().encode()
    try:
        read_coco([source], semantic=True)
        data = open_data(
            source.images,
            annotations=files[0],
            panoptic=files[1],
            panoptic_folder=tmp_path / "maps",
        )
    except ValueError:
        assert report.breaks_training
        return
    for picture in data.pictures:
        true_objects(picture)
        true_partition(data, picture)
