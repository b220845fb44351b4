"""A COCO-style JSON file: the one reader for training, evaluation and check-data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.datasets.annotations import read_annotation
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import Findings
from model.datasets.numbers_as_text import ImageId, PictureIds, as_id, as_numbers
from model.datasets.picture_names import is_file_name, names_in
from model.datasets.remains import judge_remains
from model.datasets.root_category import without_root
from model.datasets.yolo_folder import SUFFIXES, read_yolo

_MOST_PIXELS = 2**31  # more than can be decoded; run lengths have 32 bits


def read_json(path: Path, *, needs_annotations: bool = True) -> dict[str, Any]:
    """Return a COCO-style file's content.

    Args:
        needs_annotations: a file without that member, which lists pictures and categories alone,
            is refused; else it has none.

    Raises:
        ValueError: it can't be read, or lacks `images`, `annotations` or `categories`.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from None
    if not needs_annotations and isinstance(document, dict):
        document.setdefault("annotations", [])
    for member in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(member), list):
            raise ValueError(f"{path} is not COCO-style: it has no list {member!r}")
    return dict(document)


def read_document(
    path: Path, images: Path, findings: Findings, *, needs_annotations: bool = True
) -> dict[str, Any]:
    """Return a COCO-style file's content, its categories as they are meant.

    Args:
        path: COCO's JSON file, or YOLO's YAML file.
        images: the folder of the pictures.
        findings: get a category that was left out, and what of YOLO's texts cannot be read.
        needs_annotations: as for `read_json`.

    Raises:
        ValueError: as `read_json` and `read_yolo`.
    """
    if path.suffix in SUFFIXES:
        return read_yolo(path, images, findings)
    document = read_json(path, needs_annotations=needs_annotations)
    return {**document, "categories": without_root(document, findings)}


def read_pictures(
    document: Mapping[str, Any],
    category_ids: Collection[int],
    folder: Path,
    findings: Findings,
    *,
    crowds_are_objects: bool = False,
) -> list[DescribedPicture]:
    """Return the pictures of a file in its order, with what can be used of their annotations.

    Args:
        document: its `annotations` are of objects.
        category_ids: those that the file lists.
        folder: where the pictures are.
        findings: get what is not sound, and is left out, and what is read otherwise than written.
        crowds_are_objects: read what the file calls a crowd as an object.
    """
    rows = [_with_numbers(row, findings) for row in document["images"]]
    sound = [row for row in rows if _is_sound_picture(row)]
    by_picture = _by_picture(
        document["annotations"], PictureIds(row["id"] for row in sound), findings
    )
    names = names_in(folder, (row["file_name"] for row in sound), findings)
    pictures: dict[ImageId, DescribedPicture] = {}
    for row in rows:
        if not _is_sound_picture(row):
            findings.add("picture_row", f"{row!r:.100}")
        elif row["id"] in pictures:
            findings.add("picture_id", f"{row['id']!r}: {row['file_name']}")
        else:
            name, height, width = names[row["file_name"]], row["height"], row["width"]
            read = (
                read_annotation(
                    annotation,
                    picture=name,
                    height=height,
                    width=width,
                    category_ids=category_ids,
                    crowds_are_objects=crowds_are_objects,
                    findings=findings,
                )
                for annotation in by_picture.get(row["id"], ())
            )
            pictures[row["id"]] = DescribedPicture(
                id=row["id"],
                file_name=name,
                height=height,
                width=width,
                origin=str(row.get("coco_url", "")),
                annotations=tuple(annotation for annotation in read if annotation is not None),
                num_rows=len(by_picture.get(row["id"], ())),
            )
    described = list(pictures.values())
    judge_remains(described, findings)
    return described


def _with_numbers(row: Any, findings: Findings) -> Any:
    """Return a picture's row with its numbers as such, and a name if its address has one."""
    if not isinstance(row, dict):
        return row
    changed: dict[str, Any] = {key: as_id(as_numbers(row.get(key))) for key in ("height", "width")}
    if any(changed[key] is not row.get(key) and isinstance(row.get(key), str) for key in changed):
        findings.add("text_number", f"picture {row.get('file_name')!r:.100}")
    address = row.get("coco_url")
    if "file_name" not in row and isinstance(address, str):  # LVIS's
        changed["file_name"] = "/".join(address.split("/")[-2:])
        findings.add("address", f"{address:.100}")
    return {**row, **changed, "id": as_id(row.get("id"))}


def _by_picture(
    annotations: Sequence[Any], ids: PictureIds, findings: Findings
) -> dict[ImageId, list[Mapping[str, Any]]]:
    by_picture: defaultdict[ImageId, list[Mapping[str, Any]]] = defaultdict(list)
    for row in annotations:
        image_id = as_id(row.get("image_id")) if isinstance(row, dict) else None
        if not isinstance(image_id, int | str):
            findings.add("annotation_row", f"{row!r:.100}")
            continue
        found = ids.find(image_id)
        name = f"annotation {row.get('id')!r} of picture {image_id!r}"
        if found is None:
            findings.add("stranger", name)
            continue
        if found != image_id:
            findings.add("image_id", f"{name}, which is {found!r}")
        by_picture[found].append(row)
    return dict(by_picture)


def _is_sound_picture(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), int | str)
        and is_file_name(row.get("file_name"))
        and all(isinstance(row.get(side), int) and row[side] > 0 for side in ("height", "width"))
        and row["height"] * row["width"] <= _MOST_PIXELS
    )
