from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask

from model.config import PanopticConfig
from model.operations import ops, panoptic_reference
from model.operations.panoptic_reference import semantic_labels
from model.prediction.panoptic import choose, merge
from model.structures import PanopticSegmentation

ANY_STUFF = PanopticConfig(min_stuff_area=1)


@pytest.fixture(autouse=True, params=["dispatched", "reference"], ids=["dispatched", "reference"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule holds for what the dispatcher picks and for the plain reference."""
    if request.param == "reference":
        plain = panoptic_reference.panoptic_merge
        monkeypatch.setattr(torch.ops.blendmask, "panoptic_merge", plain)


def merged(
    blocks: list[list[float]],
    scores: list[float],
    classes: list[int],
    labels: np.ndarray | None,
    size: tuple[int, int],
    config: PanopticConfig,
    threshold: float | None = None,
) -> PanopticSegmentation:
    """Rectangles (x1, y1, x2, y2) of whole pixels, and the label of every pixel."""
    labels = np.zeros(size, dtype=np.int64) if labels is None else labels
    return merge(
        torch.ones(len(blocks), 8, 8),
        torch.tensor(blocks).view(-1, 4),
        torch.tensor(scores),
        torch.tensor(classes),
        # A pixel of the picture is a cell of the logits: it reads mostly that one.
        F.one_hot(torch.from_numpy(labels).long(), 5).permute(2, 0, 1).float(),
        resized_size=(4 * size[0], 4 * size[1]),
        output_size=size,
        config=config,
        instance_score_threshold=threshold,
    )


def test_better_instance_takes_the_shared_pixels() -> None:
    blocks = [[0.0, 0.0, 4.0, 4.0], [3.0, 0.0, 7.0, 4.0]]
    result = merged(blocks, [0.9, 0.8], [5, 6], None, (4, 8), PanopticConfig())
    assert [s.area for s in result.segments] == [16, 12]
    assert result.segments[1].bbox_xywh == (4, 0, 3, 4)
    assert (result.segment_ids[:, 3] == 1).all()
    assert (result.segment_ids[:, 7] == 0).all()


def test_instance_that_is_mostly_covered_is_skipped() -> None:
    blocks = [[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [4.0, 0.0, 8.0, 4.0]]
    result = merged(blocks, [0.9, 0.8, 0.7], [1, 2, 3], None, (4, 8), PanopticConfig())
    # The second shares half its pixels (more than 0.4) with the first.
    assert [s.label for s in result.segments] == [1, 3]
    assert [s.id for s in result.segments] == [1, 2]


def test_first_low_score_ends_the_instances() -> None:
    blocks = [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0], [2.0, 0.0, 3.0, 1.0]]
    values = (blocks, [0.9, 0.44, 0.44], [1, 2, 3], None, (1, 4), PanopticConfig())
    assert [s.label for s in merged(*values).segments] == [1]
    assert [s.label for s in merged(*values, threshold=0.3).segments] == [1, 2, 3]


def test_empty_mask_gets_no_segment() -> None:
    result = merged([[1.0, 1.0, 1.0, 2.0]], [0.9], [1], None, (2, 2), PanopticConfig())
    assert result.segments == []


def test_stuff_fills_what_instances_left_in_the_order_of_labels() -> None:
    labels = np.array([[3, 3, 1, 1], [3, 3, 0, 1]])
    result = merged([[0.0, 0.0, 2.0, 1.0]], [0.9], [7], labels, (2, 4), ANY_STUFF)
    assert [(s.id, s.label, s.is_thing, s.area) for s in result.segments] == [
        (1, 7, True, 2),
        (2, 1, False, 3),
        (3, 3, False, 2),
    ]
    np.testing.assert_array_equal(result.segment_ids, [[1, 1, 2, 2], [3, 3, 0, 2]])
    assert result.segments[1].score is None


def test_small_stuff_stays_void() -> None:
    labels = np.ones((64, 64), dtype=np.int64)
    enough = merged([], [], [], labels, (64, 64), PanopticConfig())
    assert [s.area for s in enough.segments] == [4096]
    labels[0, 0] = 0
    assert merged([], [], [], labels, (64, 64), PanopticConfig()).segments == []


def test_segments_carry_the_partitions_run_lengths_and_boxes() -> None:
    labels = np.array([[3, 3, 1, 1], [3, 3, 0, 1]])
    result = merged([[0.0, 0.0, 2.0, 1.0]], [0.9], [7], labels, (2, 4), ANY_STUFF)
    for segment in result.segments:
        assert segment.mask == coco_mask.encode(
            np.asfortranarray(result.segment_ids == segment.id).astype(np.uint8)
        )
        assert list(segment.bbox_xywh) == coco_mask.toBbox(segment.mask).tolist()


def test_segments_that_are_not_chosen_become_void() -> None:
    labels = np.array([[3, 3, 1, 1], [3, 3, 0, 1]])
    whole = merged([[0.0, 0.0, 2.0, 1.0]], [0.9], [7], labels, (2, 4), ANY_STUFF)
    result = choose(whole, {1, 3})
    assert [s.id for s in result.segments] == [1, 3]
    np.testing.assert_array_equal(result.segment_ids, [[1, 1, 0, 0], [3, 3, 0, 0]])
    assert result.segment_ids.dtype == np.int32
    assert choose(whole, set()).segments == []


def test_first_of_equal_labels_wins() -> None:
    labels = np.zeros((5, 5), dtype=np.int64)
    result = merge(
        torch.zeros(0, 8, 8),
        torch.zeros(0, 4),
        torch.zeros(0),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(9, 8, 8),
        resized_size=(32, 32),
        output_size=labels.shape,
        config=ANY_STUFF,
    )
    assert result.segments == []
    assert (result.segment_ids == 0).all()


def test_labels_are_the_argmax_of_the_twice_resized_logits() -> None:
    torch.manual_seed(0)
    logits = torch.randn(11, 8, 16)
    labels = semantic_labels(logits, resized_size=(30, 61), output_size=(45, 90))
    padded = F.interpolate(logits[None], scale_factor=4.0, mode="bilinear", align_corners=False)
    full = F.interpolate(padded[:, :, :30, :61], (45, 90), mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(labels, full[0].argmax(dim=0))


def test_wrong_sizes_are_refused() -> None:
    nothing = (torch.zeros(0, 8, 8), torch.zeros(0, 4), torch.zeros(0))
    rules = {"score_threshold": 0.5, "max_overlap": 0.4, "min_stuff_area": 1}
    sizes = {"resized_size": (33, 32), "output_size": (5, 5)}
    with pytest.raises(ValueError, match=r"view of 32×33 is not within a canvas of 32×32"):
        ops.panoptic_merge(*nothing, torch.zeros(3, 8, 8), **sizes, **rules)
    with pytest.raises(ValueError, match="1 to 256"):
        ops.panoptic_merge(*nothing, torch.zeros(300, 8, 8), **sizes, **rules)
