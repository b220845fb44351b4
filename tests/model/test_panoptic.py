from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask

from model.config import PanopticConfig
from model.ops import MaskCrop
from model.panoptic import choose, merge, semantic_labels

ANY_STUFF = PanopticConfig(min_stuff_area=1)


def block(top: int, left: int, height: int, width: int) -> MaskCrop:
    return MaskCrop(mask=np.ones((height, width), dtype=bool), top=top, left=left)


def nothing(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width), dtype=np.uint8)


def test_better_instance_takes_the_shared_pixels() -> None:
    crops = [block(0, 0, 4, 4), block(0, 3, 4, 4)]
    result = merge(crops, [0.9, 0.8], [5, 6], nothing(4, 8), PanopticConfig())
    assert [s.area for s in result.segments] == [16, 12]
    assert result.segments[1].bbox_xywh == (4, 0, 3, 4)
    assert (result.segment_ids[:, 3] == 1).all()
    assert (result.segment_ids[:, 7] == 0).all()


def test_instance_that_is_mostly_covered_is_skipped() -> None:
    crops = [block(0, 0, 4, 4), block(0, 2, 4, 4), block(0, 4, 4, 4)]
    result = merge(crops, [0.9, 0.8, 0.7], [1, 2, 3], nothing(4, 8), PanopticConfig())
    # The second shares half its pixels (more than 0.4) with the first.
    assert [s.label for s in result.segments] == [1, 3]
    assert [s.id for s in result.segments] == [1, 2]


def test_first_low_score_ends_the_instances() -> None:
    crops = [block(0, 0, 1, 1), block(0, 1, 1, 1), block(0, 2, 1, 1)]
    result = merge(crops, [0.9, 0.44, 0.44], [1, 2, 3], nothing(1, 4), PanopticConfig())
    assert [s.label for s in result.segments] == [1]
    lenient = PanopticConfig(instance_score_threshold=0.3)
    lower = merge(crops, [0.9, 0.44, 0.44], [1, 2, 3], nothing(1, 4), lenient)
    assert [s.label for s in lower.segments] == [1, 2, 3]


def test_empty_mask_gets_no_segment() -> None:
    empty = MaskCrop(mask=np.zeros((0, 0), dtype=bool), top=0, left=0)
    result = merge([empty], [0.9], [1], nothing(2, 2), PanopticConfig())
    assert result.segments == []


def test_stuff_fills_what_instances_left_in_the_order_of_labels() -> None:
    labels = np.array([[3, 3, 1, 1], [3, 3, 0, 1]], dtype=np.uint8)
    result = merge([block(0, 0, 1, 2)], [0.9], [7], labels, ANY_STUFF)
    assert [(s.id, s.label, s.is_thing, s.area) for s in result.segments] == [
        (1, 7, True, 2),
        (2, 1, False, 3),
        (3, 3, False, 2),
    ]
    np.testing.assert_array_equal(result.segment_ids, [[1, 1, 2, 2], [3, 3, 0, 2]])
    assert result.segments[1].score is None


def test_small_stuff_stays_void() -> None:
    labels = np.ones((64, 64), dtype=np.uint8)
    assert len(merge([], [], [], labels, PanopticConfig()).segments) == 1
    labels[0, 0] = 0
    assert merge([], [], [], labels, PanopticConfig()).segments == []


def test_chosen_segments_carry_the_partitions_run_lengths_and_the_rest_is_void() -> None:
    labels = np.array([[3, 3, 1, 1], [3, 3, 0, 1]], dtype=np.uint8)
    whole = merge([block(0, 0, 1, 2)], [0.9], [7], labels, ANY_STUFF)
    result = choose(whole, {1, 3}, masks=True)
    assert [s.id for s in result.segments] == [1, 3]
    np.testing.assert_array_equal(result.segment_ids, [[1, 1, 0, 0], [3, 3, 0, 0]])
    for segment in result.segments:
        assert segment.mask is not None
        decoded = coco_mask.decode(segment.mask)
        np.testing.assert_array_equal(decoded, result.segment_ids == segment.id)


def test_labels_are_the_argmax_of_the_twice_resized_logits() -> None:
    torch.manual_seed(0)
    logits = torch.randn(11, 8, 16)
    labels = semantic_labels(logits, resized_size=(30, 61), output_size=(45, 90))
    padded = F.interpolate(logits[None], scale_factor=4.0, mode="bilinear", align_corners=False)
    full = F.interpolate(padded[:, :, :30, :61], (45, 90), mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(labels, full[0].argmax(dim=0))


def test_first_of_equal_labels_wins() -> None:
    assert (semantic_labels(torch.zeros(9, 8, 8), (32, 32), (5, 5)) == 0).all()
