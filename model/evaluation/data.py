"""What a network is measured against: COCO's annotation files, and the pictures they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.categories import Categories
from model.datasets.annotation_file import DescribedPicture, ImageId, read_json, read_pictures
from model.datasets.annotations import Annotation
from model.datasets.classes import categories_of, listed_ids
from model.datasets.findings import Findings
from model.datasets.panoptic_file import Partition, read_partitions
from model.files import sha256_of
from model.pictures.files import PictureFile


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
) -> EvaluationData:
    """Return a data set; the pictures are those of `annotations`, or else of `panoptic`.

    What cannot be used is dropped, as training does, and said in the log.

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
    documents = {path: read_json(path) for path in (annotations, panoptic) if path is not None}
    if not documents:
        raise ValueError("no annotation file is given; an instances or a panoptic JSON is needed")
    instances = partition_file = None
    labelled: frozenset[int] = frozenset()
    if annotations is not None:
        instances = _data_file(annotations, documents[annotations])
        labelled = categories_of(documents[annotations], None, annotations.stem).labelled_ids
    partitions: Mapping[ImageId, Partition] = {}
    if panoptic is not None:
        partition_file = _data_file(panoptic, documents[panoptic])
        findings = Findings()
        partitions = read_partitions(documents[panoptic], findings)
        findings.refuse_errors(panoptic)
    return EvaluationData(
        pictures=tuple(
            _picture(described, images, partitions)
            for described in _described(annotations, documents)
        ),
        instances=instances,
        labelled_ids=labelled,
        panoptic=partition_file,
        panoptic_folder=panoptic_folder,
    )


def _described(
    annotations: Path | None, documents: Mapping[Path, Mapping[str, Any]]
) -> list[DescribedPicture]:
    """Return the pictures of the first file, with the objects of the instances file."""
    path, document = next(iter(documents.items()))
    objects = [] if annotations is None else document["annotations"]
    findings = Findings()
    described = list(
        read_pictures(document["images"], objects, listed_ids(document, path.stem), findings)
    )
    findings.refuse_errors(path)
    findings.log_warnings(path)
    return described


def _data_file(path: Path, document: Mapping[str, Any]) -> DataFile:
    categories = Categories.from_coco_rows(path.stem, document["categories"])
    return DataFile(name=path.name, sha256=sha256_of(path), categories=categories)


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
