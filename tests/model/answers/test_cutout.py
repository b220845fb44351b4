from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pasting import encode_crop

from model.answers.cutout import NothingToCutError, cut_out_instances, cut_out_segments
from model.answers.json_answer import segment_answer
from model.coco_categories import COCO
from model.masks.rasterise import bitmap_of
from model.structures import Instances, PanopticSegmentation, Segment

IMAGE = np.random.default_rng(1).integers(1, 256, (6, 8, 3), np.uint8)
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
BLOCK = np.ones((2, 4), bool)
# (crop, top, left) and score of each; the network's order is not the answer's where they tie.
MASKS = [(BLOCK, 3, 4), (RING, 1, 2), (np.zeros((0, 0), bool), 0, 0)]
SCORES = [0.9, 0.9, 0.2]


def instances() -> Instances:
    rows = [[left, top, left + c.shape[1], top + c.shape[0]] for c, top, left in MASKS]
    return Instances(
        height=6,
        width=8,
        boxes_xyxy=np.array(rows, np.float32),
        scores=np.array(SCORES, np.float32),
        classes=np.array([0, 0, 0]),
        masks=[encode_crop(crop, top, left, 6, 8) for crop, top, left in MASKS],
        areas=np.array([crop.sum() for crop, _, _ in MASKS]),
    )


def partition() -> PanopticSegmentation:
    ids = np.zeros((6, 8), np.int32)
    ids[1:3, 2:5], ids[4:, :3] = 4, 7
    segments = [
        Segment(
            id=number, label=0, is_thing=True, score=0.5, area=6, bbox_xywh=(0, 0, 1, 1), mask=None
        )
        for number in (4, 7)
    ]
    return PanopticSegmentation(segment_ids=ids, segments=segments)


def cut(number: int | None = None, *, crop: bool = False, **more: Any) -> np.ndarray:
    return cut_out_instances(IMAGE, instances(), COCO, number=number, crop=crop, **more)


def covered(*masks: tuple[np.ndarray, int, int]) -> np.ndarray:
    pixels = np.zeros((6, 8), bool)
    for crop, top, left in masks:
        pixels[top : top + crop.shape[0], left : left + crop.shape[1]] |= crop
    return pixels


def assert_shows(cutout: np.ndarray, mask: np.ndarray) -> None:
    assert cutout.dtype == np.uint8
    assert np.array_equal(cutout[..., 3], mask * 255)
    assert np.array_equal(cutout[..., :3], IMAGE * mask[..., None])


def test_all_are_cut_out_together_in_their_place() -> None:
    assert_shows(cut(), covered(*MASKS))


def test_number_counts_as_the_answer_does() -> None:
    told = segment_answer(instances(), COCO, image_id=None, masks="rle")["instances"]
    for number, row in enumerate(told):
        counts = row["segmentation"]["counts"].encode()
        bitmap = bitmap_of({"size": [6, 8], "counts": counts})
        assert_shows(cut(number), covered((bitmap.crop, bitmap.top, bitmap.left)))
    assert told[0]["bbox"][0] == 2  # the ring, which the network has second


def test_crop_keeps_the_hole() -> None:
    cutout = cut(0, crop=True)
    assert np.array_equal(cutout[..., 3], RING * 255)
    assert np.array_equal(cutout[..., :3], IMAGE[1:4, 2:5] * RING[..., None])
    assert cut(crop=True).shape == (4, 6, 4)


@pytest.mark.parametrize(
    ("number", "crop", "told"),
    [(3, False, "instance is 3; 3 instances were found, counted from 0"), (2, True, "no pixel")],
)
def test_what_is_not_there_is_not_cut_out(number: int, crop: bool, told: str) -> None:
    with pytest.raises(NothingToCutError, match=told):
        cut(number, crop=crop)


def test_empty_mask_is_an_empty_picture() -> None:
    assert_shows(cut(2), np.zeros((6, 8), bool))


def test_work_ends_when_nobody_waits() -> None:
    def leave() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        cut(before_each=leave)


def test_segment_is_cut_out_by_its_id() -> None:
    found = partition()
    assert_shows(cut_out_segments(IMAGE, found, number=7, crop=False), found.segment_ids == 7)
    assert_shows(cut_out_segments(IMAGE, found, number=None, crop=False), found.segment_ids > 0)
    assert cut_out_segments(IMAGE, found, number=4, crop=True).shape == (2, 3, 4)
    with pytest.raises(NothingToCutError, match="segment is 1; the ids of this picture are: 4, 7"):
        cut_out_segments(IMAGE, found, number=1, crop=False)
