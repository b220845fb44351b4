"""YOLO's segmentation folders: `data.yaml`, pictures in `images`, a text of outlines for each.

A line of a text is a class and the corners of a polygon, x and y from 0 to 1; or a class and a
box's centre, width and height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from model.datasets.findings import Findings
from model.pictures.decode import ImageError, read_header
from model.pictures.files import find_pictures

SUFFIXES = (".yaml", ".yml")
_HEAD = 1 << 18  # a picture's first bytes have its size, but for a few with much before it


def yaml_in(folder: Path) -> Path | None:
    """Return the folder's file that names classes and parts, None if it has none."""
    usual = [folder / "data.yaml", folder / "dataset.yaml"]
    found = [*usual, *sorted(path for path in folder.glob("*.y*ml") if path not in usual)]
    return next((path for path in found if path.is_file() and "names" in _content(path)), None)


def images_of(path: Path, split: str) -> Path:
    """Return the folder of a part's pictures.

    Raises:
        ValueError: the file names no such folder.
    """
    content = _content(path)
    given = content.get(split, content.get("valid") if split == "val" else None)
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, str):
        raise ValueError(f"{path}: {split} is {given!r:.60}; it must be one folder of pictures")
    root = path.parent / str(content.get("path") or "")
    # Roboflow's lead out of the folder that they are in.
    inside = given
    while inside.startswith("../"):
        inside = inside.removeprefix("../")
    for folder in (root / given, path.parent / given, path.parent / inside):
        if folder.is_dir():
            return folder
    raise ValueError(f"{path}: {split} is {given!r:.60}, and there is no such folder")


def read_yolo(path: Path, images: Path, findings: Findings) -> dict[str, Any]:
    """Return in COCO's form what the texts beside a folder of pictures say.

    Args:
        path: the file that names the classes; their numbers are the categories' ids.
        findings: get pictures that cannot be opened, and lines that are no outline.

    Raises:
        ValueError: no classes are named, or there is no picture or no text.
    """
    names = _names(path)
    pictures = find_pictures([str(images)], recursive=True)
    labels = _labels_of(images)
    texts = [labels / picture.place.with_suffix(".txt") for picture in pictures]
    if not any(text.is_file() for text in texts):
        raise ValueError(f"{path}: none of the pictures in {images} has a text in {labels}")
    rows: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (picture, text) in enumerate(zip(pictures, texts, strict=True), start=1):
        size = _size(picture.path, findings)
        if size is None:
            continue
        height, width = size
        name = picture.place.as_posix()
        rows.append({"id": number, "file_name": name, "height": height, "width": width})
        for line in text.read_text("utf-8", "replace").splitlines() if text.is_file() else ():
            shape = _shape(line.split(), height, width)
            if shape is not None:
                annotations.append({"id": len(annotations) + 1, "image_id": number, **shape})
            elif line.strip():
                findings.add("label_line", f"{text}: {line!r:.60}")
    categories = [{"id": i, "name": name} for i, name in names.items()]
    return {"images": rows, "annotations": annotations, "categories": categories}


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable YAML file: {error}") from None
    return content if isinstance(content, dict) else {}


def _names(path: Path) -> dict[int, str]:
    names = _content(path).get("names")
    named = dict(enumerate(names)) if isinstance(names, list) else names
    if not named or not isinstance(named, dict) or not all(isinstance(i, int) for i in named):
        raise ValueError(f"{path}: names is {names!r:.60}; it must name the classes, from 0")
    return {i: str(name) for i, name in named.items()}


def _labels_of(images: Path) -> Path:
    """Return the folder of the texts: `labels` for the last `images` in the path, or the same."""
    parts = list(images.parts)
    for index in reversed(range(len(parts))):
        if parts[index] == "images":
            return Path(*parts[:index], "labels", *parts[index + 1 :])
    return images


def _size(path: Path, findings: Findings) -> tuple[int, int] | None:
    """Return a picture's upright height and width."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            try:
                return read_header(head).upright_size
            except ImageError:
                return read_header(head + file.read()).upright_size
    except OSError as error:
        findings.add("missing", f"{path} ({error.strerror})")
    except ImageError as error:
        findings.add("undecodable", f"{path}: {error}")
    return None


def _shape(words: Sequence[str], height: int, width: int) -> dict[str, Any] | None:
    """Return a line's category, mask and box in pixels; None if it is no outline."""
    try:
        category, *numbers = (float(word) for word in words)
    except ValueError:
        return None
    if not category.is_integer() or not all(math.isfinite(number) for number in numbers):
        return None
    if len(numbers) == 4:
        x, y, w, h = numbers
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        return {"category_id": int(category), "segmentation": None, "bbox": box}
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    sides = [width, height] * (len(numbers) // 2)
    corners = [number * side for number, side in zip(numbers, sides, strict=True)]
    return {"category_id": int(category), "segmentation": [corners], "bbox": None}
