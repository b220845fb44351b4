"""Locations answer for the right objects, however many there are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from training_batches import batch_of

from model.train.losses import targets
from model.train.losses.targets import centerness, detection_targets, mask_targets
from model.train.recipes.recipe import LossConfig

STRIDES = (8, 16, 32)
CONFIG = LossConfig(sizes_of_interest=(64, 128))


def owner_by_brute_force(boxes: Tensor, side: int, stride: int, config: LossConfig) -> np.ndarray:
    """The object of each location of one picture's level, -1 for none: all pairs are judged."""
    level = STRIDES.index(stride)
    low = (-1, *config.sizes_of_interest)[level]
    high = (*config.sizes_of_interest, math.inf)[level]
    owners = np.full((side // stride, side // stride), -1)
    for row, column in np.ndindex(owners.shape):
        x, y = column * stride + stride // 2, row * stride + stride // 2
        best = math.inf
        for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            reach = config.center_radius * stride
            centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
            inside = max(x0, centre_x - reach) < x < min(x1, centre_x + reach)
            inside &= max(y0, centre_y - reach) < y < min(y1, centre_y + reach)
            farthest = max(x - x0, y - y0, x1 - x, y1 - y)
            area = (x1 - x0) * (y1 - y0)
            if inside and low <= farthest <= high and area < best:
                owners[row, column], best = index, area
    return owners


def random_boxes(count: int, side: int) -> Tensor:
    """Boxes on whole pixels, so that all arithmetic on them is exact."""
    generator = torch.Generator().manual_seed(1)
    sizes = torch.randint(4, side, (count, 2), generator=generator)
    corners = (torch.rand((count, 2), generator=generator) * (side - sizes)).floor()
    return torch.cat([corners, corners + sizes], dim=1)


def test_small_box_owns_the_cells_around_its_centre() -> None:
    found = detection_targets(batch_of([[(0, 0, 24, 40)]], classes=[[2]]), STRIDES, CONFIG)
    assert found.cells.counts == [9, 0, 0]
    assert found.cells.rows.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert found.cells.columns.tolist() == [0, 1, 2] * 3
    assert set(found.classes.tolist()) == {2}
    assert found.distances[0].tolist() == [4 / 8, 12 / 8, 20 / 8, 28 / 8]
    assert found.centerness[0].item() == pytest.approx(math.sqrt(4 / 20 * 12 / 28))
    assert found.centerness[4].item() == 1


def test_smaller_of_two_objects_wins_whatever_their_order() -> None:
    large, small = (0, 0, 48, 48), (16, 16, 32, 32)
    for boxes in ([large, small], [small, large]):
        found = detection_targets(batch_of([boxes]), STRIDES, CONFIG)
        at_centre = (found.cells.rows == 2) & (found.cells.columns == 2)
        assert found.objects[at_centre].tolist() == [boxes.index(small)]


@pytest.mark.parametrize(
    ("corner", "radius", "counts"),
    [(-4, 1.0, [1, 4, 0]), (-8, 0.5, [0, 1, 0])],
    ids=["64 is the most at stride 8", "64 is the least at stride 16"],
)
def test_windows_of_neighbouring_levels_share_their_border(
    corner: int, radius: float, counts: list[int]
) -> None:
    # The centre of a box of 128 × 128 is 64 from its sides; it is a location of one level.
    batch = batch_of([[(corner, corner, corner + 128, corner + 128)]], side=128)
    found = detection_targets(batch, STRIDES, replace(CONFIG, center_radius=radius))
    assert found.cells.counts == counts


def test_objects_are_counted_over_the_pictures_of_the_batch() -> None:
    boxes = [[(0, 0, 16, 16)], [], [(32, 32, 48, 48), (0, 0, 16, 16)]]
    found = detection_targets(batch_of(boxes), STRIDES, CONFIG)
    assert set(found.objects[found.cells.images == 0].tolist()) == {0}
    assert set(found.objects[found.cells.images == 2].tolist()) == {1, 2}
    assert not (found.cells.images == 1).any()


@pytest.mark.parametrize("radius", [0.4, 1.5, 3.0, math.inf])
def test_all_locations_answer_as_by_brute_force(radius: float) -> None:
    side, config = 256, replace(CONFIG, center_radius=radius)
    boxes = random_boxes(40, side)
    found = detection_targets(batch_of([boxes.tolist()], side=side), STRIDES, config)
    objects = torch.split(found.objects, found.cells.counts)
    for stride, owners, (_, rows, columns) in zip(
        STRIDES, objects, found.cells.by_level(), strict=True
    ):
        ours = np.full((side // stride, side // stride), -1)
        ours[rows, columns] = owners
        np.testing.assert_array_equal(ours, owner_by_brute_force(boxes, side, stride, config))


def test_thousand_objects_are_judged_in_parts_with_the_same_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = batch_of([random_boxes(1000, 256).tolist()], side=256)
    at_once = detection_targets(batch, STRIDES, CONFIG)
    monkeypatch.setattr(targets, "_MAX_CANDIDATES", 500)
    in_parts = detection_targets(batch, STRIDES, CONFIG)
    assert len(at_once.objects) > 500
    assert torch.equal(in_parts.objects, at_once.objects)
    assert in_parts.cells.counts == at_once.cells.counts


def test_batch_without_objects_has_no_positive_location() -> None:
    batch = batch_of([[], []])
    found = detection_targets(batch, STRIDES, CONFIG)
    assert found.cells.counts == [0, 0, 0]
    assert found.distances.shape == (0, 4)
    assert mask_targets(batch, found).masks.shape == (0, 28, 28)


def test_sizes_of_interest_must_suit_the_levels() -> None:
    with pytest.raises(ValueError, match=r"\(64, 128\); 2 levels have 1 sizes between them"):
        detection_targets(batch_of([[]]), (8, 16), CONFIG)


def test_each_object_with_a_mask_is_one_region_of_its_locations() -> None:
    batch = batch_of([[(0, 0, 16, 16)], [(0, 0, 16, 16), (32, 32, 56, 56)]])
    batch = replace(batch, has_mask=[batch.has_mask[0], torch.tensor([False, True])])
    found = detection_targets(batch, STRIDES, CONFIG)
    truth = mask_targets(batch, found)
    assert truth.images.tolist() == [0, 1]
    assert truth.boxes_xyxy.tolist() == [[0, 0, 16, 16], [32, 32, 56, 56]]
    assert found.cells.counts[0] == 4 + 4 + 9
    assert truth.cells.counts == [4 + 9, 0, 0]
    assert truth.regions.tolist() == [0] * 4 + [1] * 9


def test_centerness_is_one_in_the_middle_and_falls_to_the_sides() -> None:
    ltrb = torch.tensor([[2.0, 3.0, 2.0, 3.0], [1.0, 1.0, 4.0, 1.0], [1.0, 2.0, 4.0, 8.0]])
    assert centerness(ltrb).tolist() == pytest.approx([1.0, 0.5, 0.25])
