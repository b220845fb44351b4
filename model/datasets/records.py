"""What a data set says about one picture, and thousands of them in one piece of memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from model.masks.rasterise import Polygons
from model.structures import RLE

# Corners of the polygons as bytes (float64), or the counts of the run lengths, or no mask truth.
StoredShape = tuple[bytes, ...] | bytes | None


def shape_of(stored: StoredShape, height: int, width: int) -> Polygons | RLE | None:
    """Return a stored mask of a picture of that size: polygons, run lengths, or None."""
    if stored is None:
        return None
    if isinstance(stored, bytes):
        return RLE(size=[height, width], counts=stored)
    return [np.frombuffer(corners, dtype=np.float64).reshape(-1, 2) for corners in stored]


@dataclass(frozen=True, kw_only=True)
class PanopticTruth:
    """A picture's PNG of segment ids, and the semantic label of each id.

    ids: (S,) uint32, ascending. labels: (S,) uint8, 0 for things, from 1 for stuff.
    """

    file: str
    ids: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture and its annotations, in the order of the file.

    file: path of the picture. height, width: upright, as the annotation file says.
    boxes_xyxy: (A, 4) float64 in pixels. classes: (A,) int64. is_crowd: (A,) bool.
    stored_shapes: A masks, which `shape` gives back; None for an object that has a box only.
    source: which data set it is of.
    """

    image_id: int | str
    file: str
    height: int
    width: int
    boxes_xyxy: np.ndarray
    classes: np.ndarray
    is_crowd: np.ndarray
    stored_shapes: tuple[StoredShape, ...]
    panoptic: PanopticTruth | None
    source: int

    def shape(self, index: int) -> Polygons | RLE | None:
        """Return an annotation's mask: polygons, run lengths, or None."""
        return shape_of(self.stored_shapes[index], self.height, self.width)


class PackedPictures:
    """Pictures in one tensor of bytes: worker processes share it instead of copying it."""

    def __init__(self, pictures: Iterable[Picture]) -> None:
        blobs = [pickle.dumps(picture, pickle.HIGHEST_PROTOCOL) for picture in pictures]
        self._ends = torch.tensor([len(blob) for blob in blobs], dtype=torch.int64).cumsum(0)
        joined = np.frombuffer(b"".join(blobs), dtype=np.uint8).copy()
        self._bytes = torch.from_numpy(joined)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Picture:
        start = int(self._ends[index - 1]) if index else 0
        blob = self._bytes[start : int(self._ends[index])].numpy()
        picture = pickle.loads(blob.data)  # our own bytes, made above
        assert isinstance(picture, Picture)
        return picture
