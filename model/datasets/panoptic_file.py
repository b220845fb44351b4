"""COCO's panoptic JSON file: which segments each picture's PNG of ids has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.datasets.findings import Findings
from model.datasets.numbers_as_text import ImageId, PictureIds, as_id, as_number
from model.datasets.picture_names import is_file_name
from model.masks.panoptic_png import read_panoptic_png

_LARGEST_ID = 2**24 - 1  # three bytes of a PNG


@dataclass(frozen=True, kw_only=True)
class TrueSegment:
    """One segment of the truth: its id in the PNG, its category, whether it is a crowd."""

    id: int
    category_id: int
    is_crowd: bool = False


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One picture's PNG, relative to the folder of PNGs, and its segments."""

    file_name: str
    segments: tuple[TrueSegment, ...]


def read_partitions(
    document: Mapping[str, Any], picture_ids: Iterable[ImageId], findings: Findings
) -> dict[ImageId, Partition]:
    """Return the partitions by picture; what is not sound goes to the findings."""
    ids = PictureIds(picture_ids)
    partitions: dict[ImageId, Partition] = {}
    for row in document["annotations"]:
        try:
            image_id, file_name = as_id(row["image_id"]), row["file_name"]
            if not isinstance(image_id, int | str) or not is_file_name(file_name):
                raise TypeError
            segments = tuple(_segment(segment) for segment in row["segments_info"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            findings.add("panoptic_segments", f"{row!r:.100}")
            continue
        found = ids.find(image_id)
        if found is None:
            continue
        if found != image_id:
            findings.add("image_id", f"the panoptic row of {image_id!r}, which is {found!r}")
        partitions[found] = Partition(file_name=file_name, segments=segments)
    return partitions


def _segment(row: Mapping[str, Any]) -> TrueSegment:
    segment_id = int(row["id"])
    if not 0 < segment_id <= _LARGEST_ID:
        raise ValueError
    return TrueSegment(
        id=segment_id,
        category_id=int(row["category_id"]),
        is_crowd=bool(as_number(row.get("iscrowd"))),
    )


def read_true_map(folder: Path, partition: Partition, height: int, width: int) -> np.ndarray:
    """Return (H, W) uint32, the segment id of each pixel; 0 is void.

    Raises:
        ValueError: the PNG cannot be read, is of another size, or has an id that no segment has.
    """
    path = folder / partition.file_name
    ids = read_panoptic_png(path, height, width)
    known = [0, *(segment.id for segment in partition.segments)]
    strange = np.setdiff1d(ids, np.array(known, dtype=np.int64))
    if len(strange):
        raise ValueError(
            f"its true map {path.name} has the segment id {strange[0]}, which none of its "
            "segments has"
        )
    return ids
