"""The data of the bundled model: pictures with masks, and what is known of the stuff in them.

Stuff comes as maps of a teacher, one PNG a picture, whose values are COCO's panoptic ids, 255
where it is not sure. They become COCO's panoptic form, which the trainer reads: the kinds that
the model promises keep their category, all others and the masks of things are label 0, and the
boxes of things without a mask are left open.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from model.coco_categories import COCO_PANOPTIC

# Each part's annotation file. The people's has the boxes of all classes, and masks of people.
PARTS = {
    "train": "instances_train.json",
    "person": "instances_person_all80_boxes.json",
    "traffic": "instances_traffic.json",
}
HOLD_OUT = "holdout"
# Kinds that the teacher is right about often enough, by COCO's ids.
STUFF_IDS = (149, 155, 178, 184, 186, 187, 190, 193, 197, 199)
_UNKNOWN = 255
_HELD_OUT_EVERY = 9  # of the fully labelled pictures

_Row = Mapping[str, Any]


def prepare_data(data: Path, stuff: Path, folder: Path) -> None:
    """Write `instances_PART.json`, `panoptic_PART.json` and its maps for all parts into a folder.

    A ninth of the fully labelled pictures is held out, to choose weights and thresholds by; they
    have no true stuff.

    Args:
        data: the parts in COCO's form, as `demo_weights.py` describes them.
        stuff: a folder of the teacher's maps for each part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part, file in PARTS.items():
        document = json.loads((data / file).read_bytes())
        rows = _by_picture(document)
        pictures = [p for p in document["images"] if any(_has_mask(a) for a in rows[p["id"]])]
        held_out = pictures[::_HELD_OUT_EVERY] if part == "train" else []
        if held_out:
            _write_instances(HOLD_OUT, document, held_out, rows, folder)
        kept = [picture for picture in pictures if picture not in held_out]
        _write_instances(part, document, kept, rows, folder)
        _write_panoptic(part, kept, rows, stuff / part, folder)


def _write_instances(
    part: str,
    document: _Row,
    pictures: list[_Row],
    rows: Mapping[int, list[_Row]],
    folder: Path,
) -> None:
    annotations = [row for picture in pictures for row in rows[picture["id"]]]
    (folder / f"instances_{part}.json").write_text(
        json.dumps({**document, "images": pictures, "annotations": annotations})
    )


def _write_panoptic(
    part: str,
    pictures: list[_Row],
    rows: Mapping[int, list[_Row]],
    maps: Path,
    folder: Path,
) -> None:
    (folder / f"panoptic_{part}").mkdir(exist_ok=True)
    truths = []
    for picture in pictures:
        name = f"{Path(picture['file_name']).stem}.png"
        known = _map_of(picture, rows[picture["id"]], maps / name)
        rgb = np.zeros((*known.shape, 3), np.uint8)
        rgb[:, :, 0] = known
        Image.fromarray(rgb).save(folder / f"panoptic_{part}" / name)
        ids = sorted(set(np.unique(known).tolist()) - {0})
        segments = [{"id": i, "category_id": i} for i in ids]
        truths.append({"image_id": picture["id"], "file_name": name, "segments_info": segments})
    categories = [
        {"id": category.id, "name": category.name, "isthing": 0}
        for category in COCO_PANOPTIC.stuff
        if category.id in STUFF_IDS
    ]
    (folder / f"panoptic_{part}.json").write_text(
        json.dumps({"images": pictures, "annotations": truths, "categories": categories})
    )


def _map_of(picture: _Row, rows: list[_Row], file: Path) -> np.ndarray:
    """Return (H, W) uint8: a category's id, or 0 where nothing is known."""
    size = (picture["width"], picture["height"])
    with Image.open(file) as image:
        known = np.array(image.resize(size, Image.Resampling.NEAREST))
    known[known == _UNKNOWN] = 0
    for row in rows:
        x, y, w, h = row["bbox"]
        if not _has_mask(row):
            known[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = 0
    for row in filter(_has_mask, rows):
        known[_mask(row, picture) > 0] = row["category_id"]
    return known


def _mask(row: _Row, picture: _Row) -> np.ndarray:
    polygons = coco_mask.frPyObjects(row["segmentation"], picture["height"], picture["width"])
    found: np.ndarray = coco_mask.decode(coco_mask.merge(polygons))
    return found


def _has_mask(row: _Row) -> bool:
    return isinstance(row.get("segmentation"), list) and bool(row["segmentation"])


def _by_picture(document: _Row) -> defaultdict[int, list[_Row]]:
    rows: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in document["annotations"]:
        rows[row["image_id"]].append(row)
    return rows
