from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from model.answers.dialects.choice import join
from model.answers.json_answer import model_member, panoptic_answer, segment_answer
from model.categories import Categories, Category
from model.coco_categories import COCO, COCO_PANOPTIC
from model.masks.panoptic_png import panoptic_png
from model.structures import RLE, Instances, PanopticSegmentation, Segment

HEIGHT, WIDTH = 6, 8
PERSON, BUS, BENCH = 0, 5, 13  # the network's classes; COCO's ids are 1, 6 and 15


def block(top: int, left: int, height: int, width: int) -> RLE:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask[top : top + height, left : left + width] = 1
    return coco.encode(mask)


def make_instances(*rows: tuple[int, float, float], with_masks: bool = True) -> Instances:
    """Return one 2×3 instance for each class, score and x."""
    num = len(rows)
    boxes = np.array([[x, 1, x + 3, 3] for _, _, x in rows], dtype=np.float32).reshape(num, 4)
    return Instances(
        height=HEIGHT,
        width=WIDTH,
        boxes_xyxy=boxes,
        scores=np.array([score for _, score, _ in rows], dtype=np.float32),
        classes=np.array([row[0] for row in rows], dtype=np.int64),
        masks=[block(1, int(x), 2, 3) for _, _, x in rows] if with_masks else None,
        areas=np.full(num, 6) if with_masks else None,
    )


def make_partition(with_masks: bool = True) -> PanopticSegmentation:
    segment_ids = np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    segment_ids[1:3, 2:5] = 1
    segment_ids[4:, :] = 70_000
    masks = [block(1, 2, 2, 3), block(4, 0, 2, 8)] if with_masks else [None, None]
    thing = Segment(
        id=1, label=BUS, is_thing=True, score=0.75, area=6, bbox_xywh=(2, 1, 3, 2), mask=masks[0]
    )
    stuff = Segment(
        id=70_000, label=1, is_thing=False, score=None, area=16, bbox_xywh=(0, 4, 8, 2),
        mask=masks[1],
    )  # fmt: skip
    return PanopticSegmentation(segment_ids=segment_ids, segments=[thing, stuff])


def test_an_instance_has_the_members_of_the_contract() -> None:
    answer = segment_answer(make_instances((BUS, 0.75, 2)), COCO, image_id="bus.jpg", masks="rle")
    assert answer == {
        "id": "bus.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "instances": [
            {
                "category_id": 6,
                "category": "bus",
                "score": 0.75,
                "bbox": [2.0, 1.0, 3.0, 2.0],
                "area": 6,
                "segmentation": {
                    "size": [HEIGHT, WIDTH],
                    "counts": block(1, 2, 2, 3)["counts"].decode(),
                },
            }
        ],
    }


def test_instances_are_sorted_by_score_then_category_id_then_x() -> None:
    instances = make_instances(
        (PERSON, 0.5, 4), (BENCH, 0.5, 0), (BUS, 0.5, 3), (BUS, 0.5, 1), (PERSON, 0.25, 0),
        (BENCH, 0.875, 2),
    )  # fmt: skip
    rows = segment_answer(instances, COCO, image_id=None, masks="none")["instances"]
    assert [(row["category_id"], row["score"], row["bbox"][0]) for row in rows] == [
        (15, 0.875, 2), (1, 0.5, 4), (6, 0.5, 1), (6, 0.5, 3), (15, 0.5, 0), (1, 0.25, 0),
    ]  # fmt: skip


def test_sorting_keeps_each_mask_with_its_instance() -> None:
    instances = make_instances((PERSON, 0.25, 0), (PERSON, 0.5, 5))
    rows = segment_answer(instances, COCO, image_id=None, masks="polygon")["instances"]
    assert [row["segmentation"][0][0] for row in rows] == [5, 0]


def test_numbers_are_shortened_to_what_they_are_worth() -> None:
    instances = make_instances((PERSON, 0.1, 1 / 3))
    row = segment_answer(instances, COCO, image_id=None, masks="none")["instances"][0]
    assert row["score"] == 0.1
    assert row["bbox"] == [0.333, 1.0, 3.0, 2.0]


def test_polygons_come_with_the_indexes_of_their_holes() -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask[0:3, 0:3] = 1
    mask[1, 1] = 0
    mask[5, 7] = 1
    instances = make_instances((PERSON, 0.5, 0))
    instances = Instances(**{**vars(instances), "masks": [coco.encode(mask)]})
    row = segment_answer(instances, COCO, image_id=None, masks="polygon")["instances"][0]
    assert row["holes"] == [1]
    assert row["segmentation"] == [
        [0, 0, 3, 0, 3, 3, 0, 3],
        [1, 2, 2, 2, 2, 1, 1, 1],
        [7, 5, 8, 5, 8, 6, 7, 6],
    ]


def test_without_masks_there_is_no_segmentation_and_a_known_area_stays() -> None:
    row = segment_answer(make_instances((BUS, 0.5, 2)), COCO, image_id=None, masks="none")
    assert "segmentation" not in row["instances"][0]
    assert row["instances"][0]["area"] == 6


def test_an_unknown_area_is_absent() -> None:
    instances = make_instances((BUS, 0.5, 2), with_masks=False)
    row = segment_answer(instances, COCO, image_id=None, masks="none")["instances"][0]
    assert set(row) == {"category_id", "category", "score", "bbox"}


def test_masks_that_were_not_made_cannot_be_given() -> None:
    instances = make_instances((BUS, 0.5, 2), with_masks=False)
    with pytest.raises(ValueError, match="made without masks"):
        segment_answer(instances, COCO, image_id=None, masks="rle")


def test_an_unknown_kind_of_mask_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'png'.*rle, polygon, none"):
        segment_answer(make_instances(), COCO, image_id=None, masks="png")


def test_a_picture_without_instances_has_an_empty_list() -> None:
    assert segment_answer(make_instances(), COCO, image_id=None, masks="rle")["instances"] == []


def test_answers_are_plain_json() -> None:
    images = [
        segment_answer(make_instances((BUS, 0.7, 2)), COCO, image_id=None, masks="polygon"),
        panoptic_answer(make_partition(), COCO_PANOPTIC, image_id="a", masks="rle"),
    ]
    parts = [json.dumps(image, allow_nan=False).encode() for image in images]
    model = model_member("R_50_3x", "0f3a", COCO)
    whole = json.loads(join("native", model, parts, is_panoptic=False))
    assert whole["model"] == {"name": "R_50_3x", "weights": "sha256:0f3a", "categories": "coco"}
    assert whole["images"] == images


def test_segments_have_the_members_of_the_contract() -> None:
    answer = panoptic_answer(make_partition(), COCO_PANOPTIC, image_id=None, masks="rle")
    thing, stuff = answer["segments"]
    assert (answer["id"], answer["width"], answer["height"]) == (None, WIDTH, HEIGHT)
    assert {**thing, "segmentation": None} == {
        "id": 1, "category_id": 6, "category": "bus", "isthing": True, "score": 0.75,
        "bbox": [2, 1, 3, 2], "area": 6, "segmentation": None,
    }  # fmt: skip
    assert stuff == {
        "id": 70_000, "category_id": 92, "category": "banner", "isthing": False,
        "bbox": [0, 4, 8, 2], "area": 16,
        "segmentation": {
            "size": [HEIGHT, WIDTH], "counts": block(4, 0, 2, 8)["counts"].decode()
        },
    }  # fmt: skip


def test_the_panoptic_png_holds_the_partition() -> None:
    result = make_partition(with_masks=False)
    answer = panoptic_answer(result, COCO_PANOPTIC, image_id=None, masks="png")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["png"])))).astype(int)
    ids = pixels[:, :, 0] + 256 * pixels[:, :, 1] + 65536 * pixels[:, :, 2]
    np.testing.assert_array_equal(ids, result.segment_ids)
    assert all("segmentation" not in segment for segment in answer["segments"])


def test_large_ids_use_all_three_channels() -> None:
    data = panoptic_png(np.array([[0x030201, 0]], dtype=np.int32))
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(data))), [[[1, 2, 3], [0, 0, 0]]]
    )


def test_segments_without_masks_cannot_give_run_lengths() -> None:
    with pytest.raises(ValueError, match="made without masks"):
        panoptic_answer(make_partition(with_masks=False), COCO_PANOPTIC, image_id=None, masks="rle")


def test_ids_and_names_are_the_data_sets_own() -> None:
    own = Categories(
        name="own", things=tuple(Category(id=40 + i, name=f"thing {i}") for i in range(6))
    )
    answer = segment_answer(make_instances((BUS, 0.5, 0)), own, image_id=None, masks="none")
    row = answer["instances"][0]
    assert (row["category_id"], row["category"]) == (45, "thing 5")


def test_scores_that_are_told_alike_are_ties() -> None:
    instances = make_instances((BUS, 0.5000001, 0), (PERSON, 0.5, 0))
    rows = segment_answer(instances, COCO, image_id=None, masks="none")["instances"]
    assert [(row["category_id"], row["score"]) for row in rows] == [(1, 0.5), (6, 0.5)]
