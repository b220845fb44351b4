"""COCO-style annotation files: pictures, annotations and categories, of one data set or more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.categories import Categories
from model.datasets.annotation_file import read_document, read_json, read_pictures
from model.datasets.classes import categories_of, labelled_table, listed_ids, unite
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import Findings
from model.datasets.numbers_as_text import ImageId
from model.datasets.panoptic_file import read_partitions
from model.datasets.records import PackedPictures, PanopticTruth, Picture
from model.datasets.remains import summary
from model.datasets.sources import Source

logger = logging.getLogger(__name__)

_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CocoData:
    """Pictures of all data sets, and what they have in common.

    is_wide: (P,) bool, whether a picture is wider than high (batches don't mix the two).
    labelled: (S, C) bool, which classes each data set labels.
    left_out: pictures without a usable annotation, not among the others.
    """

    pictures: PackedPictures
    is_wide: np.ndarray
    categories: Categories
    labelled: np.ndarray
    left_out: int


def read_coco(
    sources: Sequence[Source],
    *,
    categories: Categories | None = None,
    semantic: bool = False,
    keep_empty: bool = False,
) -> CocoData:
    """Read data sets into one.

    Args:
        sources: a category belongs to the same class in all of them if its id and its name
            are the same.
        categories: the classes wanted, in the network's order; None takes all there are, by id.
            What the files label besides is left out.
        semantic: read the panoptic truth too, where there is one.
        keep_empty: keep pictures that have nothing but background, or crowds.

    Raises:
        ValueError: a file is not COCO-style JSON, categories contradict each other, or no
            picture is left.
    """
    found = [Findings() for _ in sources]
    documents = [
        read_document(source.annotations, source.images, findings)
        for source, findings in zip(sources, found, strict=True)
    ]
    panoptics = [
        read_json(source.panoptic) if semantic and source.panoptic else None for source in sources
    ]
    parts = [
        categories_of(document, panoptic, source.annotations.stem)
        for source, document, panoptic in zip(sources, documents, panoptics, strict=True)
    ]
    united = unite(parts, categories)
    pictures: list[Picture] = []
    left_out = 0
    for number, source in enumerate(sources):
        read = documents[number], panoptics[number]
        for picture in _pictures(number, source, *read, united, found[number]):
            if keep_empty or not picture.is_crowd.all():
                pictures.append(picture)
            else:
                left_out += 1
        documents[number], panoptics[number] = {}, None  # large: let the memory go
    if not pictures:
        raise ValueError(
            f"{', '.join(str(s.annotations) for s in sources)}: no picture with a usable annotation"
        )
    if left_out:
        logger.info("left out %d pictures without an object; --keep-empty keeps them", left_out)
    return CocoData(
        pictures=PackedPictures(pictures),
        is_wide=np.array([picture.width > picture.height for picture in pictures]),
        categories=united,
        labelled=labelled_table(parts, united),
        left_out=left_out,
    )


def _pictures(
    number: int,
    source: Source,
    document: _Row,
    panoptic: _Row | None,
    categories: Categories,
    findings: Findings,
) -> list[Picture]:
    """Return a file's pictures by id."""
    listed = listed_ids(document, source.annotations.stem)
    described = read_pictures(
        document,
        listed,
        source.images,
        findings,
        crowds_are_objects=source.crowds_are_objects,
    )
    ids = [picture.id for picture in described]
    truths = _panoptic_truths(source, panoptic, categories, ids, findings)
    findings.refuse_errors(source.annotations)
    findings.log_warnings(source.annotations)
    logger.info("%s: %s", source.annotations, summary(described))
    classes = {category.id: i for i, category in enumerate(categories.things)}
    described.sort(key=lambda picture: (str(type(picture.id)), picture.id))
    return [_picture(number, source, picture, classes, truths) for picture in described]


def _picture(
    number: int,
    source: Source,
    described: DescribedPicture,
    classes: Mapping[int, int],
    truths: Mapping[ImageId, PanopticTruth],
) -> Picture:
    kept = [a for a in described.annotations if a.category_id in classes]
    # In float32, as the original's: the scaled boxes are equal bit for bit.
    boxes = np.array([a.box_xywh for a in kept], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Picture(
        image_id=described.id,
        file=str(source.images / described.file_name),
        height=described.height,
        width=described.width,
        boxes_xyxy=boxes.astype(np.float64),
        classes=np.array([classes[a.category_id] for a in kept], dtype=np.int64),
        is_crowd=np.array([a.is_crowd for a in kept], dtype=bool),
        stored_shapes=tuple(a.shape for a in kept),
        panoptic=truths.get(described.id),
        source=number,
    )


def _panoptic_truths(
    source: Source,
    panoptic: _Row | None,
    categories: Categories,
    ids: Sequence[ImageId],
    findings: Findings,
) -> dict[ImageId, PanopticTruth]:
    if panoptic is None or source.panoptic_images is None:
        return {}
    labels = {category.id: i + 1 for i, category in enumerate(categories.stuff)}
    truths = {}
    for image_id, partition in read_partitions(panoptic, ids, findings).items():
        segments = sorted(partition.segments, key=lambda segment: segment.id)
        truths[image_id] = PanopticTruth(
            file=str(source.panoptic_images / partition.file_name),
            ids=np.array([segment.id for segment in segments], dtype=np.uint32),
            labels=np.array(
                [labels.get(segment.category_id, 0) for segment in segments], dtype=np.uint8
            ),
        )
    return truths
