"""One small data set, as COCO has it and in the shape of what labelling tools export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import toy_data
from pycocotools import mask as coco_mask

from model.masks.run_lengths import compress

SIZE = (64, 80)
Document = dict[str, Any]


def plain(folder: Path, *, rle: bool = False) -> Path:
    """Four pictures with a cup, a spoon and a plate in each; masks in run lengths if asked for."""
    rows = [
        toy_data.rectangle(image, category, 10 * n, 8 * n, 30, 24 + image)
        for image in (1, 2, 3, 4)
        for n, category in enumerate((3, 7, 20))
    ]
    for row in rows if rle else ():
        row["segmentation"] = _run_lengths(row)
    return toy_data.write(folder, [SIZE] * 4, rows)


def coco(folder: Path) -> Path:
    """COCO 2017's folders, with a part for validation."""
    document = _move(folder, "train2017")
    _write(folder / "annotations/instances_train2017.json", document)
    return folder


def roboflow(folder: Path) -> Path:
    """A folder for each part, pictures and file in it, ids from 0, a category for the group."""
    document = _move(folder, "train", lambda name: f"{Path(name).stem}_png.rf.0f3a9c.png")
    _number(document, first_image=0, first_category=1)
    for category in document["categories"]:
        category["supercategory"] = "kitchen"
    root = {"id": 0, "name": "kitchen", "supercategory": "none"}
    document["categories"].insert(0, root)
    for row in document["images"]:
        row |= {"license": 1, "date_captured": "2024-05-04T10:00:00+00:00"}
        row["extra"] = {"name": row["file_name"]}
    document["info"] = {"year": "2024", "version": "2", "contributor": "", "url": ""}
    _write(folder / "train/_annotations.coco.json", document)
    (folder / "README.roboflow.txt").write_text("kitchen - v2\n")
    return folder


def cvat(folder: Path) -> Path:
    """Pictures in `images/default`, what they lack in any case as empty members."""
    document = _move(folder, "images/default")
    _number(document, first_image=1, first_category=1)
    document["licenses"] = [{"name": "", "id": 0, "url": ""}]
    document["info"] = {"contributor": "", "date_created": "", "version": "", "year": ""}
    for row in document["images"]:
        row |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    for row in document["annotations"]:
        row["attributes"] = {"occluded": False}
    for row in document["categories"]:
        row["supercategory"] = ""
    _write(folder / "annotations/instances_default.json", document)
    return folder


def cvat_brush(folder: Path) -> Path:
    """As `cvat`; masks that were painted are run lengths and called crowds."""
    path = cvat(folder) / "annotations/instances_default.json"
    document = json.loads(path.read_bytes())
    for row in document["annotations"]:
        row["segmentation"], row["iscrowd"] = _run_lengths(row, compressed=False), 1
    _write(path, document)
    return folder


def label_studio(folder: Path) -> Path:
    """`result.json`, all ids from 0, the folder in each name, with the separator of Windows."""
    document = _move(folder, "images", lambda name: f"c0ffee12-{name}")
    _number(document, first_image=0, first_category=0)
    for number, row in enumerate(document["annotations"]):
        row |= {"id": number, "ignore": 0}
    for row in document["images"]:
        row["file_name"] = "images\\" + row["file_name"]
    document["info"] = {"year": 2024, "version": "1.0", "contributor": "Label Studio"}
    _write(folder / "result.json", document)
    return folder


def labelme2coco(folder: Path) -> Path:
    """`dataset.json` in a folder beside that of the pictures, which is in their names."""
    document = _move(folder, "labels")
    _number(document, first_image=1, first_category=0)
    for row in document["images"]:
        row["file_name"] = "labels/" + row["file_name"]
    for row in document["annotations"]:
        row["bbox"] = [float(value) for value in row["bbox"]]
    for row in document["categories"]:
        row["supercategory"] = row["name"]
    _write(folder / "out/dataset.json", document)
    return folder / "out"


def yolo(folder: Path) -> Path:
    """A text of outlines for each picture, from 0 to 1, and the classes in a YAML file."""
    document = _move(folder, "images/train")
    _number(document, first_image=1, first_category=0)
    (folder / "labels/train").mkdir(parents=True)
    for picture in document["images"]:
        lines = [
            " ".join(map(str, (row["category_id"], *_shares(row["segmentation"][0]))))
            for row in document["annotations"]
            if row["image_id"] == picture["id"]
        ]
        text = folder / "labels/train" / Path(picture["file_name"]).with_suffix(".txt")
        text.write_text("\n".join(lines))
    names = "".join(f"  {row['id']}: {row['name']}\n" for row in document["categories"])
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\nnames:\n{names}")
    return folder


def _shares(corners: list[float]) -> list[float]:
    height, width = SIZE
    return [x / side for x, side in zip(corners, [width, height] * 4, strict=True)]


def _move(folder: Path, to: str, rename: Callable[[str], str] = str) -> Document:
    """Write the plain data set, its pictures elsewhere; return its document."""
    path = plain(folder / "plain")
    document: Document = json.loads(path.read_bytes())
    (folder / to).mkdir(parents=True, exist_ok=True)
    for row in document["images"]:
        name = rename(row["file_name"])
        shutil.copy(folder / "plain/images" / row["file_name"], folder / to / name)
        row["file_name"] = name
    shutil.rmtree(folder / "plain")
    return document


def _number(document: Document, *, first_image: int, first_category: int) -> None:
    """Number pictures and categories from there."""
    images = {row["id"]: i for i, row in enumerate(document["images"], start=first_image)}
    categories = {
        row["id"]: i for i, row in enumerate(document["categories"], start=first_category)
    }
    for row in document["annotations"]:
        row["image_id"] = images[row["image_id"]]
        row["category_id"] = categories[row["category_id"]]
    for rows, ids in ((document["images"], images), (document["categories"], categories)):
        for row in rows:
            row["id"] = ids[row["id"]]


def _run_lengths(row: Document, *, compressed: bool = True) -> Document:
    x, y, w, h = row["bbox"]
    mask = np.zeros(SIZE, dtype=np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    if compressed:
        packed: Any = coco_mask.encode(mask)
        return {"size": list(SIZE), "counts": packed["counts"].decode()}
    pixels = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(np.concatenate(([0], pixels, [2])))).tolist()
    counts = np.diff([0, *ends]).tolist()
    assert compress(counts) == coco_mask.encode(mask)["counts"]
    return {"size": list(SIZE), "counts": counts}


def _write(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
