"""What a network is measured against: COCO's annotation files, and the pictures they are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.categories import Categories
from model.datasets.annotation_file import read_document, read_json, read_pictures
from model.datasets.annotations import Annotation
from model.datasets.classes import categories_of, listed_ids
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import Findings
from model.datasets.numbers_as_text import ImageId
from model.datasets.panoptic_file import Partition, read_partitions
from model.datasets.yolo_folder import SUFFIXES
from model.files import sha256_of
from model.pictures.files import PictureFile

_Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of the data set, with the size that its annotations are in, and the truth.

    partition: None where there is no panoptic file, or it says nothing of the picture.
    """

    id: ImageId
    file: PictureFile
    height: int
    width: int
    origin: str
    annotations: tuple[Annotation, ...]
    partition: Partition | None


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """An annotation file: its name, digest and categories."""

    name: str
    sha256: str
    categories: Categories


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """Pictures in the order of their file, with the truth about them, and where it is from.

    panoptic_folder: of the maps that the pictures' partitions name.
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
    crowds_are_objects: bool = False,
    needs_annotations: bool = True,
) -> EvaluationData:
    """Return a data set; the pictures are those of `annotations`, or else of `panoptic`.

    What cannot be used is dropped, as training does, and said in the log.

    Args:
        images: the folder of the pictures.
        annotations: COCO's instances JSON, or YOLO's YAML.
        panoptic, panoptic_folder: COCO's panoptic JSON and its folder of maps.
        crowds_are_objects: read what the instances file calls crowds as objects.
        needs_annotations: refuse a file without any truth; what is found can be written of one.

    Raises:
        ValueError: neither file is given, or one cannot be read or is not COCO-style.
    """
    if panoptic is not None and (panoptic_folder is None or not panoptic_folder.is_dir()):
        raise ValueError(f"the maps of {panoptic} are in no folder {panoptic_folder}")
    if not images.is_dir():
        raise ValueError(f"there is no folder {images} with the pictures")
    if annotations is None and panoptic is None:
        raise ValueError("no annotation file is given; an instances or a panoptic JSON is needed")
    findings = Findings()
    objects = None
    if annotations is not None:
        objects = read_document(annotations, images, findings, needs_annotations=needs_annotations)
    segments = None if panoptic is None else read_json(panoptic)
    first, document = (annotations, objects) if objects is not None else (panoptic, segments)
    assert first is not None
    assert document is not None
    described = read_pictures(
        {**document, "annotations": [] if objects is None else objects["annotations"]},
        listed_ids(document, first.stem),
        images,
        findings,
        crowds_are_objects=crowds_are_objects,
    )
    findings.refuse_errors(first)
    findings.log_warnings(first)
    partitions = _partitions(panoptic, segments, described)
    return EvaluationData(
        pictures=tuple(_picture(one, images, partitions) for one in described),
        instances=_data_file(annotations, objects),
        labelled_ids=_labelled_ids(annotations, objects),
        panoptic=_data_file(panoptic, segments),
        panoptic_folder=panoptic_folder,
    )


def _partitions(
    path: Path | None, document: _Document | None, described: Sequence[DescribedPicture]
) -> Mapping[ImageId, Partition]:
    if path is None or document is None:
        return {}
    findings = Findings()
    partitions = read_partitions(document, [picture.id for picture in described], findings)
    findings.refuse_errors(path)
    findings.log_warnings(path)
    return partitions


def _labelled_ids(path: Path | None, document: _Document | None) -> frozenset[int]:
    if path is None or document is None:
        return frozenset()
    return categories_of(document, None, path.stem).labelled_ids


def _data_file(path: Path | None, document: _Document | None) -> DataFile | None:
    if path is None or document is None:
        return None
    categories = Categories.from_coco_rows(path.stem, document["categories"])
    return DataFile(name=path.name, sha256=_digest(path, document), categories=categories)


def _digest(path: Path, document: _Document) -> str:
    """Return the digest of the file, or of what YOLO's texts say: their file has names only."""
    if path.suffix not in SUFFIXES:
        return sha256_of(path)
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _picture(
    described: DescribedPicture, images: Path, partitions: Mapping[ImageId, Partition]
) -> Picture:
    name = described.file_name
    return Picture(
        id=described.id,
        file=PictureFile(path=images / name, name=name, place=Path(name)),
        height=described.height,
        width=described.width,
        origin=described.origin,
        annotations=described.annotations,
        partition=partitions.get(described.id),
    )
