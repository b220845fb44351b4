"""Small batches for a tiny network: what is in them is given, the pixels are random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.train.samples.batch import TrainingBatch


def batch_of(
    boxes: Sequence[Sequence[Sequence[float]]],
    *,
    classes: Sequence[Sequence[int]] | None = None,
    side: int = 64,
    num_classes: int = 3,
    mask_side: int = 28,
    has_mask: bool = True,
    semantic: bool = False,
) -> TrainingBatch:
    """Square pictures with these boxes (class 0 if not said), each half filled by its mask."""
    generator = torch.Generator().manual_seed(0)
    counts = [len(of_picture) for of_picture in boxes]
    labels = classes or [[0] * count for count in counts]
    masks = torch.zeros(mask_side, mask_side, dtype=torch.bool)
    masks[: mask_side // 2] = True

    def noise(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator, dtype=torch.uint8)

    return TrainingBatch(
        pixels=noise(0, 256, len(boxes), 3, side, side),
        sizes=[(side, side)] * len(boxes),
        boxes_xyxy=[torch.tensor(b, dtype=torch.float32).reshape(-1, 4) for b in boxes],
        classes=[torch.tensor(c, dtype=torch.int64) for c in labels],
        masks=[masks.expand(count, -1, -1) for count in counts],
        has_mask=[torch.full((count,), has_mask) for count in counts],
        basis_labels=noise(0, num_classes + 1, len(boxes), side // 8, side // 8),
        semantic_labels=noise(0, 3, len(boxes), side, side) if semantic else None,
        labelled_classes=torch.ones(len(boxes), num_classes, dtype=torch.bool),
        image_ids=list(range(len(boxes))),
    )
