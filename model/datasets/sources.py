"""Where a data set lies: its annotation file, its pictures, its panoptic truth."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from model.datasets.findings import Findings
from model.datasets.picture_names import holds, names_in
from model.datasets.yolo_folder import SUFFIXES, images_of, yaml_in

_SPLITS = {
    "train": ("train2017", "train2014", "train"),
    "val": ("val2017", "val2014", "val", "eval", "valid", "validation"),
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One annotated set of pictures in COCO's form.

    annotations: the JSON file with `images`, `annotations` and `categories`; or YOLO's YAML file.
    images: the folder that its file names are relative to.
    panoptic, panoptic_images: COCO's panoptic JSON file and its folder of PNGs, if there are.
    crowds_are_objects: read what the file calls crowds as objects.
    """

    annotations: Path
    images: Path
    panoptic: Path | None = None
    panoptic_images: Path | None = None
    crowds_are_objects: bool = False


def find_source(given: str | Path, *, split: str = "train") -> Source:
    """Return the data set that a path stands for.

    A folder is searched for `instances_<split>2017.json` (COCO as downloaded), then for
    `instances_<split>.json` and `instances.json`, beside or inside `annotations`, and for the
    files of Roboflow, CVAT, Label Studio and labelme2coco, which are called otherwise; and last
    for YOLO's `data.yaml`, which names the folders of pictures of each part. A file is
    the annotation file itself; its pictures are looked for in the folders that such files usually
    come with, or given after a colon: `labels.json:photos`.

    Args:
        given: FOLDER, FILE or FILE:PICTURES.
        split: "train" or "val".

    Raises:
        ValueError: nothing fits; the message says what was looked for.
    """
    text = str(given)
    file, _, images = text.partition(".json:")
    if images:
        return _with_panoptic(_existing(Path(file + ".json")), _existing_folder(Path(images)))
    path = Path(text)
    annotations = _annotations_in(path, split) if path.is_dir() else _existing(path)
    if annotations.suffix in SUFFIXES:
        return Source(annotations=annotations, images=images_of(annotations, split))
    return _with_panoptic(annotations, _images_of(annotations, split))


def has_parts(path: Path) -> bool:
    """Return whether a path may stand for several parts, as a folder and YOLO's file do."""
    return path.is_dir() or path.suffix in SUFFIXES


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give a COCO-style JSON file or a folder with one")
    return path


def _existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder of pictures")
    return path


def _annotations_in(folder: Path, split: str) -> Path:
    names = [f"instances_{name}.json" for name in _SPLITS[split]]
    names += [f"{name}.json" for name in _SPLITS[split]]
    names += [f"instances_{name.capitalize()}.json" for name in _SPLITS[split]]
    names += ["instances.json", "annotations.json", "_annotations.coco.json"]
    names += ["instances_default.json", "result.json", "dataset.json"]
    places = (folder / "annotations", folder)
    nested = [folder / name for name in _SPLITS[split]]
    candidates = [place / name for place in (*places, *nested) for name in names]
    found = [path for path in candidates if path.is_file()]
    yolo = None if found else yaml_in(folder)
    if yolo is not None:
        return yolo
    if not found:
        raise ValueError(
            f"{folder} has no {names[0]}, {names[2]} or instances.json, nor has a folder "
            "annotations in it, and no data.yaml; give the JSON file itself"
        )
    return found[0]


def _images_of(annotations: Path, split: str) -> Path:
    """Find the folder by its name and by the first picture that the file lists.

    A folder that holds the picture under its very name goes before one that holds it under the
    name that is meant.
    """
    first = _first_file_name(annotations)
    stem = re.sub(r"^(instances|annotations|labels)_?", "", annotations.stem)
    parents = [annotations.parent]
    if annotations.parent.name == "annotations":
        parents.insert(0, annotations.parent.parent)
    names = [stem, f"images/{stem}", "images", *_SPLITS.get(split, ()), "data", "photos", ""]
    folders = [parent / name if name else parent for parent in parents for name in names]
    folders.append(annotations.parent.parent)  # where labelme2coco is run
    folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    holding = [folder for folder in folders if first and holds(folder, first)]
    if first and not holding:
        meant = {folder: names_in(folder, [first], Findings())[first] for folder in folders}
        holding = [folder for folder, name in meant.items() if holds(folder, name)]
    named = [folder for folder in folders if folder.name in (stem, "images")]
    if not (holding or named):
        raise ValueError(
            f"the pictures of {annotations} were not found; say {annotations.name}:FOLDER"
        )
    return (holding or named)[0]


def _first_file_name(annotations: Path) -> str | None:
    """Return the first picture's name, from the beginning of a file that may be large."""
    with annotations.open("rb") as file:
        text = file.read(1 << 20).decode("utf-8", "replace")
    found = re.search(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")', text)
    return str(json.loads(found.group(1))) if found else None


def _with_panoptic(annotations: Path, images: Path) -> Source:
    name = annotations.name.replace("instances", "panoptic")
    panoptic = annotations.with_name(name)
    if name == annotations.name or not panoptic.is_file():
        return Source(annotations=annotations, images=images)
    stem = panoptic.stem
    folders = (
        panoptic.with_suffix(""),
        panoptic.parent.parent / stem,
        panoptic.parent / "panoptic",
    )
    found = [folder for folder in folders if folder.is_dir()]
    if not found:
        return Source(annotations=annotations, images=images)
    return Source(
        annotations=annotations, images=images, panoptic=panoptic, panoptic_images=found[0]
    )
