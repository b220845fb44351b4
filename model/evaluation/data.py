"""What a network is measured against: COCO's annotation files, and the pictures they are of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.categories import Categories
from model.files import sha256_of
from model.pictures.files import PictureFile

ImageId = int | str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of the data set, with the size that its annotations are in."""

    id: ImageId
    file: PictureFile
    height: int
    width: int
    origin: str


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """An annotation file: its name, digest and categories, and its rows for each picture."""

    name: str
    sha256: str
    categories: Categories
    rows: Mapping[ImageId, Any]


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """Pictures in the order of their file, and the truth about them.

    instances: lists of annotations. panoptic: rows with the name of a map in `panoptic_folder`.
    labelled_ids: the categories that are annotated wherever they appear.
    """

    pictures: tuple[Picture, ...]
    instances: DataFile | None
    labelled_ids: frozenset[int]
    panoptic: DataFile | None
    panoptic_folder: Path | None


def open_data(
    images: Path,
    *,
    annotations: Path | None = None,
    panoptic: Path | None = None,
    panoptic_folder: Path | None = None,
) -> EvaluationData:
    """Return a data set; the pictures are those of `annotations`, or else of `panoptic`.

    Args:
        images: the folder of the pictures.
        annotations: COCO's instances JSON.
        panoptic, panoptic_folder: COCO's panoptic JSON and its folder of maps.

    Raises:
        ValueError: neither file is given, or one cannot be read or is not COCO-style.
    """
    if panoptic is not None and (panoptic_folder is None or not panoptic_folder.is_dir()):
        raise ValueError(f"the maps of {panoptic} are in no folder {panoptic_folder}")
    if not images.is_dir():
        raise ValueError(f"there is no folder {images} with the pictures")
    documents = {path: _read(path) for path in (annotations, panoptic) if path is not None}
    if not documents:
        raise ValueError("no annotation file is given; an instances or a panoptic JSON is needed")
    path, first = next(iter(documents.items()))
    instances = None
    labelled: frozenset[int] = frozenset()
    if annotations is not None:
        rows = _by_image(documents[annotations]["annotations"])
        instances = _data_file(annotations, documents[annotations], rows)
        declared = (documents[annotations].get("info") or {}).get("labelled_category_ids")
        things = {category.id for category in instances.categories.things}
        labelled = frozenset(things if declared is None else map(int, declared))
    partitions = None
    if panoptic is not None:
        by_id = {row["image_id"]: row for row in documents[panoptic]["annotations"]}
        partitions = _data_file(panoptic, documents[panoptic], by_id)
    return EvaluationData(
        pictures=tuple(_picture(row, images, path) for row in first["images"]),
        instances=instances,
        labelled_ids=labelled,
        panoptic=partitions,
        panoptic_folder=panoptic_folder,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from None
    for member in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(member), list):
            raise ValueError(f"{path} is not COCO-style: it has no list {member!r}")
    whole: dict[str, Any] = document
    return whole


def _data_file(path: Path, document: Mapping[str, Any], rows: Mapping[ImageId, Any]) -> DataFile:
    try:
        categories = sorted(document["categories"], key=lambda row: int(row["id"]))
        parsed = Categories.from_dict(
            {
                "name": path.stem,
                "things": [row for row in categories if row.get("isthing", 1)],
                "stuff": [row for row in categories if not row.get("isthing", 1)],
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: categories without a sound id and name ({error})") from None
    return DataFile(name=path.name, sha256=sha256_of(path), categories=parsed, rows=rows)


def _by_image(annotations: Sequence[Mapping[str, Any]]) -> dict[ImageId, list[Mapping[str, Any]]]:
    rows: defaultdict[ImageId, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        rows[annotation["image_id"]].append(annotation)
    return dict(rows)


def _picture(row: Mapping[str, Any], images: Path, path: Path) -> Picture:
    try:
        name = str(row["file_name"])
        return Picture(
            id=row["id"],
            file=PictureFile(path=images / name, name=name, place=Path(name)),
            height=int(row["height"]),
            width=int(row["width"]),
            origin=str(row.get("coco_url", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: a picture needs id, file_name, height and width ({error!r} in {row})"
        ) from None
