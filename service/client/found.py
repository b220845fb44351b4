"""One instance or one segment as a client gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.structures import RLE

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Found:
    """One instance, or one segment of a partition.

    bbox: x, y, width, height in pixels of the upright picture. area: the mask's pixels.
    segmentation: as the answer has it: COCO run lengths, rings with masks="polygon", or None.
    holes: which of the rings are holes. score: None for stuff. id: of a segment in its partition,
    isthing: whether it is a thing; both None for instances.
    """

    category_id: int
    category: str
    bbox: tuple[float, float, float, float]
    score: float | None = None
    area: int | None = None
    segmentation: Any = None
    holes: Sequence[int] | None = None
    id: int | None = None
    isthing: bool | None = None

    @property
    def run_lengths(self) -> RLE:
        """The mask as `pycocotools` reads it. ValueError if the answer has it in another form."""
        if not isinstance(self.segmentation, dict):
            raise ValueError('the answer has no run lengths; masks="rle" asks for them')
        told = self.segmentation
        return RLE(size=told["size"], counts=told["counts"].encode("ascii"))

    def bitmap(self) -> np.ndarray:
        """Return the mask as pixels: bool (height, width). ValueError as for `run_lengths`."""
        from model.answers.detections import bitmaps_of

        height, width = self.run_lengths["size"]
        pixels: np.ndarray = bitmaps_of([self.run_lengths], height, width)[0]
        return pixels
