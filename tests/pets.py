"""A data set of two pictures on disk, and a predictor that knows all about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from tiny import CATEGORIES, tiny_config

from model.structures import Instances, PanopticSegmentation, Segment

CAT, DOG, HAMSTER, GRASS, CARPET = 3, 5, 9, 11, 12
NAMES = {c.id: c.name for c in (*CATEGORIES.things, *CATEGORIES.stuff)}
# Two sizes; in each a cat in the left half, grass in the right one.
SIZES = {"a.png": (40, 60), "b.png": (60, 40)}


def left_half(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    mask[:, : width // 2] = 1
    return mask


def write_pets(folder: Path) -> SimpleNamespace:
    """Write pictures, instances and panoptic truth; return where they are."""
    places = SimpleNamespace(
        images=folder / "images",
        annotations=folder / "instances.json",
        panoptic=folder / "panoptic.json",
        panoptic_folder=folder / "maps",
    )
    for place in (places.images, places.panoptic_folder):
        place.mkdir()
    images, annotations, partitions = [], [], []
    for number, (name, (height, width)) in enumerate(SIZES.items(), start=1):
        Image.new("RGB", (width, height), (number, 0, 0)).save(places.images / name)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        half = width // 2
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": CAT,
                "iscrowd": 0,
                "bbox": [0, 0, half, height],
                "area": half * height,
                "segmentation": [[0, 0, half, 0, half, height, 0, height]],
            }
        )
        ids = np.where(left_half(height, width), 300, 2).astype(np.int64)
        pixels = np.stack((ids % 256, ids // 256, ids * 0), axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(places.panoptic_folder / name)
        segments = [{"id": 300, "category_id": CAT}, {"id": 2, "category_id": GRASS}]
        partitions.append({"image_id": number, "file_name": name, "segments_info": segments})
    things, stuff = (
        [{"id": c.id, "name": c.name, "isthing": flag} for c in group]
        for flag, group in ((1, CATEGORIES.things), (0, CATEGORIES.stuff))
    )
    write(places.annotations, images=images, annotations=annotations, categories=things)
    write(places.panoptic, images=images, annotations=partitions, categories=things + stuff)
    return places


def write(path: Path, **members: Any) -> None:
    path.write_text(json.dumps(members))


def edit(path: Path, change: Any) -> None:
    """Let `change` alter what a JSON file holds."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


class KnowingPredictor:
    """Finds the cat in the left half and the grass; remembers what it was asked."""

    def __init__(self, *, semantic: bool = True) -> None:
        self.config = tiny_config(semantic=semantic)
        self.categories = CATEGORIES
        self.device = SimpleNamespace(type="cpu")
        self.batches: list[list[tuple[int, ...]]] = []
        self.options: list[Any] = []

    def segment(
        self, images: Sequence[np.ndarray], options: dict[str, Any], *, stages: Any, batch_size: int
    ) -> list[Instances]:
        assert batch_size == len(images)
        self.batches.append([image.shape[:2] for image in images])
        self.options.append(options)
        return [self._instances(*image.shape[:2]) for image in images]

    def _instances(self, height: int, width: int) -> Instances:
        mask = left_half(height, width)
        return Instances(
            height=height,
            width=width,
            boxes_xyxy=np.array([[0, 0, width // 2, height]], np.float32),
            scores=np.array([0.5], np.float32),
            classes=np.array([0]),
            masks=[coco_mask.encode(mask)],
            areas=np.array([mask.sum()]),
        )

    def panoptic(
        self, images: Sequence[np.ndarray], options: dict[str, Any], *, stages: Any, batch_size: int
    ) -> list[PanopticSegmentation]:
        self.options.append(options)
        return self._partitions(images)

    def segment_and_panoptic(
        self, images: Sequence[np.ndarray], segment_options: Any, panoptic_options: Any, **how: Any
    ) -> list[tuple[Instances, PanopticSegmentation]]:
        found = self.segment(images, segment_options, **how)
        return list(zip(found, self.panoptic(images, panoptic_options, **how), strict=True))

    def _partitions(self, images: Sequence[np.ndarray]) -> list[PanopticSegmentation]:
        results = []
        for image in images:
            height, width = image.shape[:2]
            box = (0, 0, width, height)
            segments = [
                Segment(
                    id=i, label=label, is_thing=thing, score=None, area=1, bbox_xywh=box, mask=None
                )
                for i, label, thing in ((1, 0, True), (2, 1, False))
            ]
            ids = 2 - left_half(height, width).astype(np.int32)
            results.append(PanopticSegmentation(segment_ids=ids, segments=segments))
        return results
