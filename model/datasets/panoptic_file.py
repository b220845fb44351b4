"""COCO's panoptic JSON file: which segments each picture's PNG of ids has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.datasets.annotation_file import ImageId
from model.datasets.findings import Findings


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


def read_partitions(document: Mapping[str, Any], findings: Findings) -> dict[ImageId, Partition]:
    """Return the partitions by picture; what is not sound goes to the findings."""
    partitions: dict[ImageId, Partition] = {}
    for row in document["annotations"]:
        try:
            image_id, file_name = row["image_id"], row["file_name"]
            if not isinstance(image_id, int | str) or not isinstance(file_name, str):
                raise TypeError
            segments = tuple(
                TrueSegment(
                    id=int(segment["id"]),
                    category_id=int(segment["category_id"]),
                    is_crowd=bool(segment.get("iscrowd")),
                )
                for segment in row["segments_info"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            findings.add("panoptic_segments", f"{row!r:.100}")
            continue
        partitions[image_id] = Partition(file_name=file_name, segments=segments)
    return partitions
