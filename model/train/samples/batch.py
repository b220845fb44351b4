"""The records that travel from the data set to the losses."""
# N pictures, G objects of one picture, C classes, M mask side, h and w of a resized picture

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TrainingSample:
    """One augmented picture and what is in it, made entirely by a loader worker.

    pixels: (3, h, w) uint8, in the channel order of the configuration.
    boxes_xyxy: (G, 4) float32 in pixels of the augmented picture.
    classes: (G,) int64, contiguous from 0.
    masks: (G, M, M) bool, each object's polygons rasterised on a grid over its own box.
    has_mask: (G,) bool; an object without mask truth trains the detector only.
    basis_labels: (ceil(h / 8), ceil(w / 8)) uint8: class + 1 of every 8th pixel, 0 background,
        255 unknown (int32 and -1 where there are more than 254 classes), which is ignored: what
        a partly labelled data set leaves open.
    semantic_labels: (h, w) uint8, 0 things, from 1 stuff, 255 ignored; None without such truth.
    labelled_classes: (C,) bool; what the data set doesn't label is unknown, not background.
    image_id: the data set's own, for messages.
    """

    pixels: Tensor
    boxes_xyxy: Tensor
    classes: Tensor
    masks: Tensor
    has_mask: Tensor
    basis_labels: Tensor
    semantic_labels: Tensor | None
    labelled_classes: Tensor
    image_id: int | str


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """Samples on one canvas, a multiple of 32 in height and width.

    pixels: (N, 3, H, W) uint8; `sizes` says what is picture, the rest is padding.
    sizes: (height, width) of each picture.
    boxes_xyxy, classes, masks, has_mask: one tensor for each picture, as in the sample.
    basis_labels: (N, H / 8, W / 8) uint8 or int32, padded with 0: background, as the original
        has it.
    semantic_labels: (N, H, W) uint8, padded with 255; None if no sample has any.
    labelled_classes: (N, C) bool.
    """

    pixels: Tensor
    sizes: list[tuple[int, int]]
    boxes_xyxy: list[Tensor]
    classes: list[Tensor]
    masks: list[Tensor]
    has_mask: list[Tensor]
    basis_labels: Tensor
    semantic_labels: Tensor | None
    labelled_classes: Tensor
    image_ids: list[int | str]
