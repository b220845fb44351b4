"""Masks are learnt in the network's own boxes too, where they fit the objects."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_batches import batch_of

from model.structures import DensePredictions
from model.train.losses.own_boxes import own_mask_targets
from model.train.samples.batch import TrainingBatch

LOW = -9.0


def dense(side: int = 64) -> DensePredictions:
    """Two levels, strides 8 and 16, that say nothing anywhere and draw no box."""
    sizes = (side // 8, side // 16)
    return DensePredictions(
        class_logits=[torch.full((1, 3, s, s), LOW) for s in sizes],
        distances=[torch.zeros(1, 4, s, s) for s in sizes],
        centerness_logits=None,
        box_features=[torch.zeros(1, 4, s, s) for s in sizes],
        bases=torch.zeros(1, 4, side // 4, side // 4),
        semantic_logits=None,
    )


def draw(
    predictions: DensePredictions, level: int, cell: tuple[int, int], box: list[float], logit: float
) -> None:
    """Let a cell draw that box, in pixels, and say class 0 with that logit."""
    stride = (8, 16)[level]
    row, column = cell
    x, y = column * stride + stride // 2, row * stride + stride // 2
    sides = torch.tensor([x - box[0], y - box[1], box[2] - x, box[3] - y])
    predictions.distances[level][0, :, row, column] = sides / stride
    predictions.class_logits[level][0, 0, row, column] = logit


def one_object(**more: bool) -> TrainingBatch:
    """An object of class 0 in a box of 16 to 48, its upper half filled by the mask."""
    return batch_of([[(16, 16, 48, 48)]], mask_side=4, **more)


def test_best_boxes_that_fit_are_chosen_finest_level_first() -> None:
    predictions = dense()
    draw(predictions, 1, (1, 1), [16, 16, 48, 48], logit=3.0)
    draw(predictions, 0, (3, 3), [16, 16, 48, 40], logit=1.0)
    draw(predictions, 0, (4, 4), [16, 16, 48, 44], logit=2.0)
    draw(predictions, 0, (5, 5), [32, 32, 48, 48], logit=9.0)  # a quarter: it does not fit
    found = own_mask_targets(predictions, one_object(), (8, 16), limit=2)
    assert found.cells.counts == [1, 1]
    assert (found.cells.rows.tolist(), found.cells.columns.tolist()) == ([4, 1], [4, 1])
    assert found.boxes_xyxy.tolist() == [[16, 16, 48, 44], [16, 16, 48, 48]]
    assert (found.regions.tolist(), found.images.tolist()) == ([0, 1], [0, 0])
    assert found.centerness.tolist() == [1, 1]


def test_box_of_another_class_is_not_the_objects() -> None:
    predictions = dense()
    draw(predictions, 0, (3, 3), [16, 16, 48, 48], logit=3.0)
    batch = replace(one_object(), classes=[torch.tensor([1])])
    found = own_mask_targets(predictions, batch, (8, 16), limit=1)
    # The class has the same low score there as in every box that fits: it is still the best.
    assert len(found.cells.rows) == 1
    predictions.class_logits[0][0, 1] = LOW - 1
    draw(predictions, 0, (4, 4), [16, 16, 48, 48], logit=LOW)
    predictions.class_logits[0][0, 1, 4, 4] = LOW
    found = own_mask_targets(predictions, batch, (8, 16), limit=1)
    assert (found.cells.rows.item(), found.cells.columns.item()) == (4, 4)


@pytest.mark.parametrize(
    ("box", "rows"),
    [
        ([16, 16, 48, 48], [1, 1, 0, 0]),  # the true box
        ([16, 16, 48, 40], [1, 1, 1, 0]),  # rows of 6 pixels, around 19, 25, 31 and 37
        ([16, 0, 48, 48], [0, 1, 1, 0]),  # a third of it above the object
    ],
)
def test_truth_is_read_where_the_box_lies(box: list[float], rows: list[int]) -> None:
    predictions = dense()
    draw(predictions, 0, (3, 3), box, logit=3.0)
    (mask,) = own_mask_targets(predictions, one_object(), (8, 16), limit=1).masks
    assert mask.int().tolist() == [[row] * 4 for row in rows]


def test_nothing_fits_or_nothing_has_a_mask() -> None:
    predictions = dense()
    assert len(own_mask_targets(predictions, one_object(), (8, 16), limit=3).regions) == 0
    draw(predictions, 0, (3, 3), [16, 16, 48, 48], logit=3.0)
    unmasked = own_mask_targets(predictions, one_object(has_mask=False), (8, 16), limit=3)
    assert len(unmasked.regions) == 0
    assert unmasked.cells.counts == [0, 0]
    assert unmasked.masks.shape == (0, 4, 4)
