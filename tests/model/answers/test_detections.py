from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import supervision
from pycocotools import mask as coco
from tiny import CATEGORIES

from model.answers.detections import bitmaps, instance_detections, panoptic_detections
from model.structures import Instances, PanopticSegmentation, Segment

CAT, DOG, GRASS = 0, 1, 1  # the network's classes and label; the ids are 3, 5 and 11
PIXELS = np.zeros((2, 4, 6), bool)
PIXELS[0, 1:3, 2:5] = True
PIXELS[1, :, 0] = True
INSTANCES = Instances(
    height=4,
    width=6,
    boxes_xyxy=np.array([[2, 1, 5, 3], [0, 0, 1, 4]], np.float32),
    scores=np.array([0.9, 0.5], np.float32),
    classes=np.array([DOG, CAT]),
    masks=[coco.encode(np.asfortranarray(pixels.astype(np.uint8))) for pixels in PIXELS],
    areas=np.array([6, 4]),
)
NOTHING = Instances(
    height=4,
    width=6,
    boxes_xyxy=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    classes=np.zeros(0, np.int64),
    masks=[],
    areas=np.zeros(0, np.int64),
)
IDS = np.array([[7, 7, 0, 2]] * 3, np.int32)
PARTITION = PanopticSegmentation(
    segment_ids=IDS,
    segments=[
        Segment(
            id=7, label=CAT, is_thing=True, score=0.75, area=6, bbox_xywh=(0, 0, 2, 3), mask=None
        ),
        Segment(
            id=2, label=GRASS, is_thing=False, score=None, area=3, bbox_xywh=(3, 0, 1, 3), mask=None
        ),
    ],
)


def test_instances_keep_their_boxes_scores_masks_and_ids() -> None:
    detections = instance_detections(INSTANCES, CATEGORIES)
    np.testing.assert_array_equal(detections.xyxy, INSTANCES.boxes_xyxy)
    np.testing.assert_array_equal(detections.confidence, INSTANCES.scores)
    np.testing.assert_array_equal(detections.mask, PIXELS)
    assert detections.class_id.tolist() == [5, 3]
    assert detections.data["class_name"].tolist() == ["dog", "cat"]


def test_supervisions_own_filters_and_annotators_work() -> None:
    detections = instance_detections(INSTANCES, CATEGORIES)
    (dog,) = detections[detections.data["class_name"] == "dog"].class_id
    assert dog == 5
    assert detections[detections.area > 5].confidence.tolist() == pytest.approx([0.9])
    scene = np.zeros((4, 6, 3), np.uint8)
    drawn = supervision.MaskAnnotator().annotate(scene.copy(), detections)
    np.testing.assert_array_equal(drawn.any(axis=2), PIXELS.any(axis=0))


def test_instances_without_masks_have_none() -> None:
    detections = instance_detections(replace(INSTANCES, masks=None, areas=None), CATEGORIES)
    assert detections.mask is None
    assert len(detections) == 2


def test_no_instances_are_no_detections() -> None:
    detections = instance_detections(NOTHING, CATEGORIES)
    assert len(detections) == 0
    assert detections.mask.shape == (0, 4, 6)
    assert detections.data["class_name"].tolist() == []


def test_segments_keep_their_boxes_kinds_and_ids() -> None:
    detections = panoptic_detections(PARTITION, CATEGORIES)
    assert detections.xyxy.tolist() == [[0, 0, 2, 3], [3, 0, 4, 3]]
    assert detections.class_id.tolist() == [3, 11]
    assert detections.data["class_name"].tolist() == ["cat", "grass"]
    assert detections.data["isthing"].tolist() == [True, False]
    np.testing.assert_array_equal(detections.mask, [IDS == 7, IDS == 2])
    np.testing.assert_array_equal(detections.confidence, np.array([0.75, np.nan], np.float32))


def test_partition_of_void_alone_has_no_detections() -> None:
    void = PanopticSegmentation(segment_ids=np.zeros((3, 4), np.int32), segments=[])
    detections = panoptic_detections(void, CATEGORIES)
    assert len(detections) == 0
    assert detections.mask.shape == (0, 3, 4)


def test_missing_supervision_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="not installed: pip install supervision"):
        instance_detections(INSTANCES, CATEGORIES)


def test_bitmaps_hold_the_masks_pixels() -> None:
    np.testing.assert_array_equal(bitmaps(INSTANCES), PIXELS)
    assert bitmaps(NOTHING).shape == (0, 4, 6)


def test_an_empty_mask_has_an_empty_bitmap() -> None:
    empty = coco.encode(np.zeros((4, 6), np.uint8, order="F"))
    pixels = bitmaps(replace(INSTANCES, masks=[INSTANCES.masks[0], empty]))  # type: ignore[index]
    np.testing.assert_array_equal(pixels, [PIXELS[0], PIXELS[0] & False])


def test_bitmaps_of_a_result_without_masks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"without masks; PredictOptions\(masks=True\)"):
        bitmaps(replace(INSTANCES, masks=None, areas=None))
