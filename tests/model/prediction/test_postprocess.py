from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.config import BlenderConfig, DetectionConfig
from model.network.blender import blend
from model.network.fcos import TopLayer
from model.prediction.postprocess import attentions_of, detect, place_on_picture
from model.structures import DensePredictions, Detections

LOW = -20.0  # a logit that nothing passes


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def dense(*levels: tuple[Tensor, Tensor, Tensor]) -> DensePredictions:
    return DensePredictions(
        class_logits=[level[0] for level in levels],
        distances=[level[1] for level in levels],
        centerness_logits=[level[2] for level in levels],
        box_features=[torch.zeros(1, 1, *level[0].shape[-2:]) for level in levels],
        bases=torch.zeros(1, 4, 8, 8),
        semantic_logits=None,
    )


def level(height: int, width: int, num_classes: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.full((1, num_classes, height, width), LOW),
        torch.ones(1, 4, height, width),
        torch.full((1, 1, height, width), 20.0),
    )


def test_location_class_and_score_become_a_box() -> None:
    one = level(2, 3)
    one[0][0, 1, 1, 2] = logit(0.64)
    one[1][0, :, 1, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = detect(dense(one), 0, (8,), DetectionConfig())
    assert len(found) == 1
    # The centre of cell (1, 2) at stride 8 is (20, 12).
    assert found.boxes_xyxy.tolist() == [[12.0, -4.0, 44.0, 44.0]]
    assert found.scores.item() == pytest.approx(0.8)  # the root of 0.64 × 1
    assert (found.classes.item(), found.levels.item()) == (1, 0)
    assert (found.rows.item(), found.columns.item()) == (1, 2)


def test_centerness_counts_before_the_threshold_unless_switched_off() -> None:
    one = level(1, 1)
    one[0][0, 0, 0, 0] = logit(0.1)
    one[2][...] = 0.0  # a half
    strict = DetectionConfig(candidate_threshold=0.06)
    assert len(detect(dense(one), 0, (8,), strict)) == 0
    late = DetectionConfig(candidate_threshold=0.06, threshold_with_centerness=False)
    found = detect(dense(one), 0, (8,), late)
    assert found.scores.item() == pytest.approx(math.sqrt(0.05))


def test_overlapping_boxes_of_one_class_are_suppressed_and_of_two_are_not() -> None:
    one = level(1, 2)
    one[1][...] = 10.0
    one[0][0, 0, 0, 0] = logit(0.9)
    one[0][0, 0, 0, 1] = logit(0.8)
    one[0][0, 1, 0, 1] = logit(0.7)
    found = detect(dense(one), 0, (8,), DetectionConfig())
    assert found.classes.tolist() == [0, 1]
    unsuppressed = detect(dense(one), 0, (8,), DetectionConfig(nms_threshold=0.0))
    assert unsuppressed.classes.tolist() == [0, 0, 1]


def test_best_so_many_are_kept_and_ties_stay_together() -> None:
    one = level(1, 4)
    one[1][...] = 0.1
    one[0][0, 0, 0] = torch.tensor([logit(0.9), logit(0.5), logit(0.5), logit(0.2)])
    config = DetectionConfig(max_instances=2)
    assert len(detect(dense(one), 0, (8,), config)) == 3


def test_candidates_are_limited_for_each_level() -> None:
    fine, coarse = level(1, 4), level(1, 2)
    for each in (fine, coarse):
        each[0][0, 0] = 1.0
        each[1][...] = 0.1
    config = DetectionConfig(max_candidates_per_level=3)
    found = detect(dense(fine, coarse), 0, (8, 16), config)
    assert sorted(found.levels.tolist()) == [0, 0, 0, 1, 1]


def test_nothing_above_the_threshold_gives_no_detections() -> None:
    found = detect(dense(level(2, 2)), 0, (8,), DetectionConfig())
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


def test_higher_threshold_only_cuts_the_end() -> None:
    torch.manual_seed(0)
    one = level(8, 8)
    one[0][...] = torch.randn(1, 2, 8, 8) * 2 - 3
    one[1][...] = torch.rand(1, 4, 8, 8) * 3
    many = detect(dense(one), 0, (8,), DetectionConfig())
    few = detect(dense(one), 0, (8,), DetectionConfig(), candidate_threshold=0.3)
    assert few.scores.min() > 0.3**0.5
    assert len(many) > len(few) > 0
    torch.testing.assert_close(many.scores[: len(few)], few.scores)
    torch.testing.assert_close(many.boxes_xyxy[: len(few)], few.boxes_xyxy)


def detections(boxes: list[list[float]], levels: list[int], cells: list[list[int]]) -> Detections:
    number = len(boxes)
    return Detections(
        boxes_xyxy=torch.tensor(boxes),
        scores=torch.ones(number),
        classes=torch.zeros(number, dtype=torch.int64),
        levels=torch.tensor(levels),
        rows=torch.tensor([cell[0] for cell in cells]),
        columns=torch.tensor([cell[1] for cell in cells]),
    )


def test_boxes_are_scaled_clipped_and_emptied() -> None:
    boxes = [[-10.0, 10.0, 30.0, 50.0], [90.0, 0.0, 120.0, 10.0], [101.0, 0.0, 120.0, 10.0]]
    found = detections(boxes, [0, 0, 0], [[0, 0]] * 3)
    placed, kept = place_on_picture(found, resized_size=(100, 100), output_size=(50, 200))
    assert placed.tolist()[:2] == [[0.0, 5.0, 60.0, 25.0], [180.0, 0.0, 200.0, 5.0]]
    assert kept.tolist() == [True, True, False]


def test_attentions_at_locations_are_those_of_the_whole_convolution() -> None:
    torch.manual_seed(0)
    top_layer = TopLayer(channels=6, num_bases=2, attention_size=3)
    features = [torch.randn(1, 6, 5, 7), torch.randn(1, 6, 3, 4)]
    predictions = DensePredictions(
        class_logits=[],
        distances=[],
        centerness_logits=[],
        box_features=features,
        bases=torch.zeros(1, 2, 8, 8),
        semantic_logits=None,
    )
    cells = [[0, 0], [2, 3], [4, 6], [2, 0]]
    found = detections([[0.0, 0.0, 1.0, 1.0]] * 4, [0, 1, 0, 1], cells)
    with torch.inference_mode():
        sparse = attentions_of(found, predictions, 0, top_layer)
        whole = [top_layer(level)[0] for level in features]
    for attention, number, (row, column) in zip(sparse, [0, 1, 0, 1], cells, strict=True):
        torch.testing.assert_close(attention.flatten(), whole[number][:, row, column])


def test_blend_weighs_bases_by_the_softmax_of_attentions() -> None:
    bases = torch.stack([torch.full((8, 8), 2.0), torch.full((8, 8), -4.0)])[None]
    attentions = torch.zeros(1, 2, 14, 14)
    attentions[0, 0] = math.log(3)  # weights 3/4 and 1/4: logit 1.5 - 1 = 0.5
    boxes = torch.tensor([[4.0, 4.0, 20.0, 20.0]])
    images = torch.zeros(1, dtype=torch.int64)
    mask = blend(bases, boxes, images, attentions, BlenderConfig())
    assert mask.shape == (1, 56, 56)
    torch.testing.assert_close(mask, torch.full((1, 56, 56), 1 / (1 + math.exp(-0.5))))


def test_probability_is_a_half_where_the_box_leaves_the_canvas() -> None:
    bases = torch.full((1, 2, 8, 8), 5.0)
    boxes = torch.tensor([[-32.0, 0.0, 32.0, 32.0]])
    images = torch.zeros(1, dtype=torch.int64)
    mask = blend(bases, boxes, images, torch.zeros(1, 2, 14, 14), BlenderConfig())
    assert (mask[0, :, :20] == 0.5).all()
    assert (mask[0, :, 36:] > 0.99).all()


def test_without_centerness_the_score_is_the_probability() -> None:
    one = level(1, 2)
    one[0][0, 0, 0, 0], one[0][0, 0, 0, 1] = logit(0.6), logit(0.1)
    predictions = replace(dense(one), centerness_logits=None)
    found = detect(predictions, 0, (8,), DetectionConfig(candidate_threshold=0.2**2))
    assert found.scores.tolist() == pytest.approx([0.6])
