"""The losses of classes and boxes are those of their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from model.train.losses.cells import Cells
from model.train.losses.detection_losses import box_losses, class_loss, quality_class_loss
from model.train.losses.targets import DetectionTargets

LN2 = math.log(2)


def one_location(class_index: int) -> DetectionTargets:
    """The top left cell of the only picture answers for an object of that class."""
    zero = torch.zeros(1, dtype=torch.int64)
    return DetectionTargets(
        cells=Cells(counts=[1], images=zero, rows=zero, columns=zero),
        objects=zero,
        classes=torch.tensor([class_index]),
        distances=torch.ones(1, 4),
        centerness=torch.ones(1),
    )


def test_focal_loss_weighs_the_undecided_as_its_formula_says() -> None:
    logits = [torch.zeros(1, 2, 1, 2)]
    loss = class_loss(logits, one_location(0), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    # One yes and three noes, each at probability one half.
    assert loss.item() == pytest.approx((0.25 + 3 * 0.75) * 0.25 * LN2)


def test_focal_loss_forgives_what_is_right_and_surely_so() -> None:
    logits = torch.full((1, 2, 1, 1), -30.0)
    logits[0, 1] = 30.0
    loss = class_loss([logits], one_location(1), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    wrong = class_loss([-logits], one_location(1), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    assert wrong.item() == pytest.approx((0.25 + 0.75) * 30)


def test_unlabelled_class_has_no_loss() -> None:
    logits = [torch.zeros(1, 2, 1, 1)]
    labelled = torch.tensor([[1.0, 0.0]])
    loss = class_loss(logits, one_location(0), labelled, alpha=0.25, gamma=2.0)
    assert loss.item() == pytest.approx(0.25 * 0.25 * LN2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Boxes of 2 × 2 and 2 × 4 with 4 in common; one cell is added: (4 + 1) / (8 + 1).
        ("linear_iou", 1 - 5 / 9),
        ("iou", -math.log(5 / 9)),
        ("giou", 1 - 5 / 9),
    ],
)
def test_box_loss_of_a_box_in_another(kind: str, expected: float) -> None:
    inner, outer = torch.tensor([[1.0, 1, 1, 1]]), torch.tensor([[1.0, 1, 1, 3]])
    assert box_losses(inner, outer, kind).item() == pytest.approx(expected)  # type: ignore[arg-type]


def test_giou_counts_what_the_hull_adds() -> None:
    # 4 × 1 crossed with 1 × 4: 1 in common, 7 in union, 16 in the hull.
    wide, high = torch.tensor([[2.0, 0.5, 2, 0.5]]), torch.tensor([[0.5, 2.0, 0.5, 2]])
    assert box_losses(wide, high, "giou").item() == pytest.approx(1 - 2 / 8 + 9 / 16)


def test_quality_loss_wants_the_overlap_as_the_classs_probability() -> None:
    logits = [torch.zeros(1, 2, 1, 1)]
    ones = torch.ones(1, 2)
    # The predicted box is the upper half of the true one: the overlap is a half, as is said.
    half = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    loss = quality_class_loss(logits, half, one_location(0), ones, gamma=2.0)
    assert loss.item() == pytest.approx(0.25 * LN2)  # the other class's alone
    whole = torch.ones(1, 4)
    loss = quality_class_loss(logits, whole, one_location(0), ones, gamma=2.0)
    assert loss.item() == pytest.approx(2 * 0.25 * LN2)
    only_second = torch.tensor([[0.0, 1.0]])
    loss = quality_class_loss(logits, whole, one_location(0), only_second, gamma=2.0)
    assert loss.item() == pytest.approx(0.25 * LN2)
