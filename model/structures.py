"""The records that travel between the parts of the model."""
# N images, R instances, L levels, K bases, M mask side

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

# Of a score as answers tell it. Rounding hides what the company of a picture or the number of
# threads changes in the last bits.
SCORE_DECIMALS = 6


class RLE(TypedDict):
    """COCO compressed run lengths: `size` is [height, width], `counts` column-major, ASCII.

    `pycocotools.mask` reads it as it is.
    """

    size: list[int]
    counts: bytes


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """Pictures on one canvas, ready for the network.

    pixels: (N, 3, H, W) float, normalised, zero-padded at the right and at the bottom.
    resized_sizes: (height, width) of each picture on the canvas, without the padding.
    output_sizes: (height, width) of each upright picture as it came.
    """

    pixels: Tensor
    resized_sizes: list[tuple[int, int]]
    output_sizes: list[tuple[int, int]]

    def part(self, places: Sequence[int]) -> ImageBatch:
        """Return some of the pictures as a batch of their own."""
        return ImageBatch(
            pixels=self.pixels[list(places)],
            resized_sizes=[self.resized_sizes[place] for place in places],
            output_sizes=[self.output_sizes[place] for place in places],
        )


@dataclass(frozen=True, kw_only=True)
class DensePredictions:
    """What the network says at every location, the same in training and in serving.

    Lists have one entry for each detection level, finest first.

    class_logits: (N, C, h, w) each.
    distances: (N, 4, h, w) each, left, top, right, bottom, in units of the level's stride, >= 0.
    centerness_logits: (N, 1, h, w) each; None where the class probability says it too.
    box_features: (N, C, h, w) each; the top layer reads attentions from them.
    bases: (N, K, H/4, W/4).
    semantic_logits: (N, S, H/4, W/4), or None where no semantic head ran.
    auxiliary_logits: (N, auxiliary classes + 1, H/8, W/8), 0 is background, or None likewise.
    """

    class_logits: list[Tensor]
    distances: list[Tensor]
    centerness_logits: list[Tensor] | None
    box_features: list[Tensor]
    bases: Tensor
    semantic_logits: Tensor | None
    auxiliary_logits: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Detections:
    """One picture's kept locations, best score first, in pixels of the network input.

    boxes_xyxy: (R, 4), as decoded: they may leave the picture or be degenerate.
    scores: (R,) in (0, 1]. classes: (R,) contiguous from 0.
    levels, rows, columns: (R,) the feature-map cell each came from.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    classes: Tensor
    levels: Tensor
    rows: Tensor
    columns: Tensor

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    def __getitem__(self, index: Tensor | slice) -> Detections:
        """Return the chosen instances: a boolean mask, indices or a slice."""
        return Detections(
            boxes_xyxy=self.boxes_xyxy[index],
            scores=self.scores[index],
            classes=self.classes[index],
            levels=self.levels[index],
            rows=self.rows[index],
            columns=self.columns[index],
        )


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays are not equal or unequal
class Instances:
    """One picture's instances, best score first, in pixels of the upright picture, on the CPU.

    boxes_xyxy: (R, 4) float32, clipped to the picture. scores: (R,) float32.
    classes: (R,) int64, contiguous from 0 (`Categories.things` has ids and names).
    masks: R run lengths of the whole picture. areas: (R,) int64, the pixels in each mask.
    Both are None where masks were not asked for.
    """

    height: int
    width: int
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: list[RLE] | None
    areas: np.ndarray | None

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment of a panoptic partition.

    label: contiguous class from 0 for a thing, semantic label from 1 for stuff.
    bbox_xywh: tight, whole pixels. score: None for stuff.
    mask: None where masks were not asked for.
    """

    id: int
    label: int
    is_thing: bool
    score: float | None
    area: int
    bbox_xywh: tuple[int, int, int, int]
    mask: RLE | None


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays are not equal or unequal
class PanopticSegmentation:
    """One picture's partition: (height, width) int32 segment ids, 0 is void; and the segments.

    Segments that a filter dropped are void in `segment_ids` too.
    """

    segment_ids: np.ndarray
    segments: list[Segment]

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.segment_ids.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.segment_ids.shape[1])
