"""The client's results against the predictor's, which the answers were made of."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from tiny import tiny_predictor

from model.answers.json_answer import model_member, panoptic_answer, segment_answer
from model.prediction.options import PredictOptions
from model.prediction.results import LabelledInstances, LabelledPartition
from service.client.results import read_panoptic, read_segment

PICTURE = np.random.default_rng(5).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def found() -> LabelledInstances:
    result = tiny_predictor().segment(PICTURE, PredictOptions(max_instances=9))
    assert len(result) == 9
    return result


@pytest.fixture(scope="module")
def partition() -> LabelledPartition:
    result = tiny_predictor(semantic=True).panoptic(PICTURE)
    assert len(result.segments) > 1
    return result


def body_of(result: LabelledInstances | LabelledPartition, masks: Any = "rle") -> bytes:
    write: Any = segment_answer if isinstance(result, LabelledInstances) else panoptic_answer
    image = write(result, result.categories, image_id=None, masks=masks)
    model = model_member("tiny", "00", result.categories)
    return json.dumps({"model": model, "images": [image]}).encode()


def assert_same_detections(ours: Any, theirs: Any) -> None:
    assert np.allclose(ours.xyxy, theirs.xyxy, atol=1e-3)
    assert np.array_equal(ours.mask, theirs.mask)
    assert np.allclose(ours.confidence, theirs.confidence, atol=1e-6, equal_nan=True)
    assert np.array_equal(ours.class_id, theirs.class_id)
    assert {name: list(column) for name, column in ours.data.items()} == {
        name: list(column) for name, column in theirs.data.items()
    }


def test_instances_are_the_predictors(found: LabelledInstances) -> None:
    result = read_segment(body_of(found))
    assert result.names == found.names
    assert np.array_equal(result.bitmaps(), found.bitmaps())
    assert [one.area for one in result.instances] == [
        one.bitmap().sum() for one in result.instances
    ]
    assert result.model["name"] == "tiny"
    assert_same_detections(result.to_supervision(), found.to_supervision())


def test_segments_are_the_predictors(partition: LabelledPartition) -> None:
    result = read_panoptic(body_of(partition))
    assert result.names == partition.names
    assert np.array_equal(result.segment_ids(), partition.segment_ids)
    assert_same_detections(result.to_supervision(), partition.to_supervision())


def test_panoptic_png_holds_the_same_partition(partition: LabelledPartition) -> None:
    result = read_panoptic(body_of(partition, masks="png"))
    assert np.array_equal(result.segment_ids(), partition.segment_ids)
    assert_same_detections(result.to_supervision(), partition.to_supervision())
    annotation = result.to_coco(7, "7.png")
    assert (annotation["image_id"], annotation["file_name"]) == (7, "7.png")
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(result.png or b""))), 2, 0)
    ids = red + 256 * green.astype(int) + 65536 * blue.astype(int)
    for info in annotation["segments_info"]:
        assert info["area"] == (ids == info["id"]).sum()


@pytest.mark.parametrize("masks", ["none", "polygon"])
def test_masks_that_were_not_asked_for_are_said_to_be(found: LabelledInstances, masks: str) -> None:
    result = read_segment(body_of(found, masks=masks))
    with pytest.raises(ValueError, match='masks="rle" asks for them'):
        result.bitmaps()
    assert result.to_supervision().mask is None


def test_nothing_found_has_no_masks_but_their_shape(found: LabelledInstances) -> None:
    answer = json.loads(body_of(found))
    answer["images"][0]["instances"] = []
    result = read_segment(json.dumps(answer).encode())
    assert result.bitmaps().shape == (0, 48, 64)
    assert len(result.to_supervision()) == 0
    assert result.to_coco(1) == []


def test_coco_loads_the_rows_with_areas_of_boxes_or_of_masks(found: LabelledInstances) -> None:
    result = read_segment(body_of(found))
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 3, "width": 64, "height": 48}],
        "categories": [{"id": one.id} for one in found.categories.things],
        "annotations": [],
    }
    truth.createIndex()
    by_box = truth.loadRes(result.to_coco(3)).dataset["annotations"]
    by_mask = truth.loadRes(result.to_coco(3, boxes=False)).dataset["annotations"]
    assert [row["area"] for row in by_mask] == [one.area for one in result.instances]
    sides = [one.bbox[2:] for one in result.instances]
    assert [row["area"] for row in by_box] == [width * height for width, height in sides]
