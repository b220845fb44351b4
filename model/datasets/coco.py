"""COCO-style annotation files: pictures, annotations and categories, of one data set or more."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from model.categories import Categories
from model.datasets.annotation_file import read_json
from model.datasets.classes import categories_of, labelled_table, unite
from model.datasets.records import PackedPictures, PanopticTruth, Picture, StoredShape
from model.datasets.segmentation import stored_shape
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
    documents = [read_json(source.annotations) for source in sources]
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
        for picture in _pictures(number, source, documents[number], panoptics[number], united):
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
        logger.info("left out %d pictures without a usable annotation", left_out)
    return CocoData(
        pictures=PackedPictures(pictures),
        is_wide=np.array([picture.width > picture.height for picture in pictures]),
        categories=united,
        labelled=labelled_table(parts, united),
        left_out=left_out,
    )


def _pictures(
    number: int, source: Source, document: _Row, panoptic: _Row | None, categories: Categories
) -> list[Picture]:
    """Return a file's pictures by id."""
    by_image = defaultdict(list)
    for row in document["annotations"]:
        by_image[row["image_id"]].append(row)
    classes = {category.id: i for i, category in enumerate(categories.things)}
    truths = _panoptic_truths(source, panoptic, categories)
    rows = sorted(document["images"], key=lambda row: (str(type(row["id"])), row["id"]))
    known = {row["id"] for row in document["categories"]}
    pictures = []
    for row in rows:
        try:
            pictures.append(
                _picture(number, source, row, by_image[row["id"]], classes, known, truths)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{source.annotations}: picture {row.get('id')!r} is not described soundly "
                f"({type(error).__name__}: {error}); check-data tells more"
            ) from None
    return pictures


def _picture(
    number: int,
    source: Source,
    row: _Row,
    annotations: Sequence[_Row],
    classes: Mapping[int, int],
    known: set[int],
    truths: Mapping[int | str, PanopticTruth],
) -> Picture:
    height, width = int(row["height"]), int(row["width"])
    strangers = sorted({a["category_id"] for a in annotations} - known)
    if strangers:
        raise ValueError(f"category ids {strangers} are not in its list of categories")
    kept = [a for a in annotations if a["category_id"] in classes]
    shapes = tuple(stored_shape(a.get("segmentation"), height, width) for a in kept)
    boxes = [_box(a, shape, height, width) for a, shape in zip(kept, shapes, strict=True)]
    return Picture(
        image_id=row["id"],
        file=str(source.images / row["file_name"]),
        height=height,
        width=width,
        boxes_xyxy=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        classes=np.array([classes[a["category_id"]] for a in kept], dtype=np.int64),
        is_crowd=np.array([bool(a.get("iscrowd", 0)) for a in kept], dtype=bool),
        stored_shapes=shapes,
        panoptic=truths.get(row["id"]),
        source=number,
    )


def _box(
    row: _Row, shape: StoredShape, height: int, width: int
) -> tuple[float, float, float, float]:
    if "bbox" in row:
        # In float32, as the original's: the scaled boxes are equal bit for bit.
        x, y, w, h = np.array(row["bbox"], dtype=np.float32)
        if not np.isfinite([x, y, w, h]).all():
            raise ValueError(f"annotation {row.get('id')!r} has the bbox {row['bbox']}")
        return float(x), float(y), float(x + w), float(y + h)
    if isinstance(shape, tuple):
        corners = np.frombuffer(b"".join(shape)).reshape(-1, 2)
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)
    if shape is None:
        raise ValueError(f"annotation {row.get('id')!r} has neither bbox nor segmentation")
    x, y, w, h = coco_mask.toBbox({"size": [height, width], "counts": shape}).tolist()
    return x, y, x + w, y + h


def _panoptic_truths(
    source: Source, panoptic: _Row | None, categories: Categories
) -> dict[int | str, PanopticTruth]:
    if panoptic is None or source.panoptic_images is None:
        return {}
    labels = {category.id: i + 1 for i, category in enumerate(categories.stuff)}
    truths = {}
    for row in panoptic["annotations"]:
        segments = sorted(row["segments_info"], key=lambda segment: int(segment["id"]))
        truths[row["image_id"]] = PanopticTruth(
            file=str(source.panoptic_images / row["file_name"]),
            ids=np.array([segment["id"] for segment in segments], dtype=np.uint32),
            labels=np.array(
                [labels.get(segment["category_id"], 0) for segment in segments], dtype=np.uint8
            ),
        )
    return truths
