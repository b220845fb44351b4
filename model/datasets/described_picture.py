"""One picture of an annotation file, and what can be used of its annotations."""

from __future__ import annotations

from dataclasses import dataclass

from model.datasets.annotations import Annotation
from model.datasets.numbers_as_text import ImageId


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
