"""A COCO-style JSON file: the one reader for training, evaluation and check-data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.datasets.annotations import Annotation, read_annotation
from model.datasets.findings import Findings

ImageId = int | str


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribedPicture:
    """One picture of an annotation file.

    file_name: relative to the folder of pictures. height, width: upright.
    origin: the address that COCO has of it, or nothing. annotations: in the order of the file.
    num_rows: how many annotations the file has of it, with those that cannot be used.
    """

    id: ImageId
    file_name: str
    height: int
    width: int
    origin: str
    annotations: tuple[Annotation, ...]
    num_rows: int


def read_json(path: Path) -> dict[str, Any]:
    """Return a COCO-style file's content.

    Raises:
        ValueError: it can't be read, or lacks `images`, `annotations` or `categories`.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from None
    for member in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(member), list):
            raise ValueError(f"{path} is not COCO-style: it has no list {member!r}")
    return dict(document)


def read_pictures(
    rows: Sequence[Any],
    annotations: Sequence[Any],
    category_ids: Collection[int],
    findings: Findings,
) -> Iterator[DescribedPicture]:
    """Yield the pictures of a file in its order, with what can be used of their annotations.

    Args:
        rows: the file's `images`.
        annotations: the file's `annotations`, if they are of objects.
        category_ids: those that the file lists.
        findings: get what is not sound, and is left out.
    """
    by_picture = _by_picture(annotations, findings)
    seen: set[ImageId] = set()
    for row in rows:
        if not _is_sound_picture(row):
            findings.add("picture_row", f"{row!r:.100}")
        elif row["id"] in seen:
            findings.add("picture_id", f"{row['id']!r}: {row['file_name']}")
        else:
            seen.add(row["id"])
            yield _picture(row, by_picture.pop(row["id"], []), category_ids, findings)
    for image_id, strangers in by_picture.items():
        for row in strangers if image_id not in seen else ():
            findings.add("stranger", f"annotation {row.get('id')!r} of picture {image_id!r}")


def _by_picture(
    annotations: Sequence[Any], findings: Findings
) -> dict[ImageId, list[Mapping[str, Any]]]:
    by_picture: defaultdict[ImageId, list[Mapping[str, Any]]] = defaultdict(list)
    for row in annotations:
        if isinstance(row, dict) and isinstance(row.get("image_id"), int | str):
            by_picture[row["image_id"]].append(row)
        else:
            findings.add("annotation_row", f"{row!r:.100}")
    return dict(by_picture)


def _is_sound_picture(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), int | str)
        and isinstance(row.get("file_name"), str)
        and _side(row.get("height")) > 0
        and _side(row.get("width")) > 0
    )


def _side(value: Any) -> int:
    """Return a side's length, 0 if it is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else 0


def _picture(
    row: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    category_ids: Collection[int],
    findings: Findings,
) -> DescribedPicture:
    height, width = _side(row["height"]), _side(row["width"])
    read = (
        read_annotation(
            annotation,
            picture=row["file_name"],
            height=height,
            width=width,
            category_ids=category_ids,
            findings=findings,
        )
        for annotation in annotations
    )
    return DescribedPicture(
        id=row["id"],
        file_name=row["file_name"],
        height=height,
        width=width,
        origin=str(row.get("coco_url", "")),
        annotations=tuple(annotation for annotation in read if annotation is not None),
        num_rows=len(annotations),
    )
