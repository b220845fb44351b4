"""What all dialects read of an image's member: its rows, their masks and what to call them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.masks.run_columns import crop_of
from model.structures import RLE

if TYPE_CHECKING:
    import numpy as np

Row = dict[str, Any]
Image = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A mask's tight crop, bool (h, w), h and w > 0, and where it lies in the picture."""

    pixels: np.ndarray
    left: int
    top: int

    @property
    def right(self) -> int:
        """The column after the last."""
        return self.left + int(self.pixels.shape[1])

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.top + int(self.pixels.shape[0])


def rows_of(image: Image) -> list[Row]:
    """Return an image's instances, or the segments of its partition."""
    rows: list[Row] = image["instances"] if "instances" in image else image["segments"]
    return rows


def run_lengths_of(row: Row) -> RLE | None:
    """Return a row's mask; None where the answer was made without masks."""
    told = row.get("segmentation")
    if told is None:
        return None
    return RLE(size=told["size"], counts=told["counts"].encode("ascii"))


def tight_crop(mask: RLE) -> Crop | None:
    """Return the crop of a mask; None where it has no pixel."""
    pixels, top, left = crop_of(mask)
    return Crop(pixels=pixels, left=left, top=top) if pixels.size else None


def name_of(image: Image, index: int) -> str:
    """Return a UUID for a row that is the same for the same row of the same answer."""
    row = rows_of(image)[index]
    told = [image["id"], index, row["category_id"], row.get("score"), row["bbox"]]
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(told)))
