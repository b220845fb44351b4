"""How many pixels of stuff a model labels, and how many of those rightly, by groups of kinds.

Panoptic quality takes a brick wall that is called a wall for a miss. Here kinds that a viewer would
call the same count as one group, and pixels count, not segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.evaluation.data import open_data
from model.evaluation.truth import true_partition
from model.pictures.decode import decode_image
from model.prediction.predictor import PredictOptions, Predictor

# By COCO's panoptic ids; a kind in no group is one of its own.
GROUPS = {
    "wall": (171, 175, 176, 177, 199),
    "floor": (118, 190, 200),
    "water": (148, 155, 178),
    "building": (128, 151, 197),
    "ground": (125, 144, 149, 191, 194),
    "grass": (145, 193),
}
_GROUP_OF = {member: members[0] for members in GROUPS.values() for member in members}


@dataclass(kw_only=True)
class StuffPixels:
    """Counts of pixels whose true kind of stuff is known."""

    known: int = 0
    labelled: int = 0
    right: int = 0

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Count one picture.

        Args:
            truth, found: (H, W) a kind's id at each pixel, 0 for things and for what is unknown.
        """
        known = truth > 0
        labelled = known & (found > 0)
        self.known += int(known.sum())
        self.labelled += int(labelled.sum())
        self.right += int((grouped(truth) == grouped(found))[labelled].sum())


def grouped(ids: np.ndarray) -> np.ndarray:
    """Return a map of kinds with the first kind of its group in place of each."""
    table = np.arange(256)
    for member, first in _GROUP_OF.items():
        table[member] = first
    return table[ids]


def measure_stuff(predictor: Predictor, folder: Path) -> StuffPixels:
    """Return the counts on a folder with `instances.json`, `panoptic.json` and their pictures."""
    data = open_data(
        folder / "images",
        annotations=folder / "instances.json",
        panoptic=folder / "panoptic.json",
        panoptic_folder=folder / "panoptic",
    )
    stuff = {category.id for category in predictor.categories.stuff}
    things = {category.id for category in predictor.categories.things}
    counts = StuffPixels()
    for picture in data.pictures:
        true_map = true_partition(data, picture)
        if isinstance(true_map, str):
            continue
        ids, segments = true_map
        truth = np.zeros(ids.shape, np.int64)
        for segment in segments:
            if segment.category_id not in things:
                truth[ids == segment.id] = segment.category_id
        pixels = decode_image(picture.file.path.read_bytes())
        found = predictor.panoptic([pixels], PredictOptions(masks=False))[0]
        labels = np.zeros(ids.shape, np.int64)
        for one in found.segments:
            category = predictor.categories.of(one.label, one.is_thing).id
            if category in stuff:
                labels[found.segment_ids == one.id] = category
        counts.add(truth, labels)
    return counts
