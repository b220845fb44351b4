from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from pasting import encode_crop
from PIL import Image
from pydantic import BaseModel
from service_fakes import PANOPTIC_MODEL, picture, task_of

from model.answers.dialects.choice import Dialect, masks_of
from model.structures import Instances, PanopticSegmentation, Segment
from service.engine import Cutout
from service.errors import (
    NotAnImageError,
    OptionError,
    ServiceError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.http.openapi.dialect_schemas import (
    CocoPanopticAnnotation,
    CocoResults,
    CvatShapes,
    FiftyOneDetections,
    LabelStudioPrediction,
    RoboflowImage,
)
from service.http.openapi.schemas import PanopticImage, SegmentedImage
from service.pool.messages import BatchItem
from service.worker import pictures as worker
from service.worker.pictures import decode_picture, encode_answer, num_instances


def item_of(**asked: Any) -> BatchItem:
    return BatchItem(
        number=4, offset=64, length=10, asked=task_of(**asked), id="a.jpg", request_id="r"
    )


def found_instances(height: int, width: int, *, masks: bool) -> Instances:
    """One bus in the left half of the picture."""
    crop = np.ones((height, width // 2), dtype=bool)
    return Instances(
        height=height,
        width=width,
        boxes_xyxy=np.array([[0, 0, width // 2, height]], dtype=np.float32),
        scores=np.array([0.75], dtype=np.float32),
        classes=np.array([5]),
        masks=[encode_crop(crop, 0, 0, height, width)] if masks else None,
        areas=np.array([crop.sum()]) if masks else None,
    )


def found_partition(height: int, width: int, *, masks: bool) -> PanopticSegmentation:
    """A bus in the left half of the picture, road in the right one."""
    half = width // 2
    ids = np.ones((height, width), dtype=np.int32)
    ids[:, half:] = 2
    crop = np.ones((height, half), dtype=bool)
    segments = [
        Segment(
            id=number,
            label=label,
            is_thing=number == 1,
            score=0.75 if number == 1 else None,
            area=height * half,
            bbox_xywh=(left, 0, half, height),
            mask=encode_crop(crop, 0, left, height, width) if masks else None,
        )
        for number, label, left in ((1, 5, 0), (2, 21, half))
    ]
    return PanopticSegmentation(segment_ids=ids, segments=segments)


def answer(width: int = 8, height: int = 6, **asked: Any) -> bytes:
    item = item_of(**asked)
    find = found_instances if item.asked.task == "segment" else found_partition
    result = find(height, width, masks=item.asked.predict.masks and item.asked.masks != "png")
    image = np.zeros((height, width, 3), dtype=np.uint8)
    return encode_answer(item, image, result, PANOPTIC_MODEL.categories)


def test_segment_answers_the_native_member_of_images() -> None:
    image = SegmentedImage.model_validate_json(answer())
    assert (image.id, image.width, image.height) == ("a.jpg", 8, 6)
    [instance] = image.instances
    assert (instance.category_id, instance.category, instance.score) == (6, "bus", 0.75)
    assert list(instance.bbox) == [0, 0, 4, 6]
    assert instance.area == 24


def test_polygons_are_rings_with_holes_beside_them() -> None:
    [instance] = SegmentedImage.model_validate_json(answer(masks="polygon")).instances
    assert isinstance(instance.segmentation, list)
    assert instance.holes == []


def test_answer_without_masks_has_no_segmentation() -> None:
    body = answer(masks="none")
    assert "segmentation" not in json.loads(body)["instances"][0]
    SegmentedImage.model_validate_json(body)


def test_panoptic_answers_things_and_stuff() -> None:
    image = PanopticImage.model_validate_json(answer(task="panoptic"))
    assert [one.category for one in image.segments] == ["bus", "road"]
    assert [one.score for one in image.segments] == [0.75, None]


def test_panoptic_png_comes_without_run_lengths() -> None:
    image = PanopticImage.model_validate_json(answer(task="panoptic", masks="png"))
    assert image.png is not None
    assert image.segments[0].segmentation is None


@pytest.mark.parametrize(
    ("dialect", "record"),
    [("coco", CocoResults), ("roboflow", RoboflowImage), ("labelstudio", LabelStudioPrediction),
     ("cvat", CvatShapes), ("fiftyone", FiftyOneDetections)],
)  # fmt: skip
def test_every_format_of_both_tasks_is_as_it_is_described(
    dialect: Dialect, record: type[BaseModel]
) -> None:
    for masks in masks_of(dialect, is_panoptic=False):
        record.model_validate_json(answer(masks=masks, dialect=dialect))
    of_partition = CocoPanopticAnnotation if dialect == "coco" else record
    for masks in masks_of(dialect, is_panoptic=True):
        of_partition.model_validate_json(answer(task="panoptic", masks=masks, dialect=dialect))


def test_masks_that_cvat_would_be_told_without_end_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("model.answers.dialects.cvat.MAX_CROP_PIXELS", 23)
    with pytest.raises(TooLargeError, match="ask for fewer instances"):
        answer(dialect="cvat")


@pytest.mark.parametrize("task", ["segment", "panoptic"])
@pytest.mark.parametrize(("media_type", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_drawing_has_the_size_of_the_picture(task: str, media_type: str, kind: str) -> None:
    body = answer(30, 20, task=task, picture_type=media_type)
    with Image.open(io.BytesIO(body)) as drawing:
        assert drawing.format == kind
        assert drawing.size == (30, 20)


def test_instances_and_segments_are_counted() -> None:
    assert num_instances(found_instances(6, 8, masks=False)) == 1
    assert num_instances(found_partition(6, 8, masks=False)) == 2


def test_picture_is_decoded() -> None:
    image = decode_picture(picture(8, 6), max_pixels=48, max_side=8)
    assert image.shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (picture()[:-40], NotAnImageError),
        (b"hello", NotAnImageError),
        (picture(kind="GIF"), UnsupportedMediaError),
        (picture(101, 1), TooLargeError),
        (picture(40, 40), TooLargeError),
    ],
)
def test_picture_that_cannot_be_decoded_is_refused(
    data: bytes, refusal: type[ServiceError]
) -> None:
    with pytest.raises(refusal):
        decode_picture(data, max_pixels=1000, max_side=100)


def test_picture_that_there_is_no_memory_for_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "decode_image", fail)
    with pytest.raises(TooLargeError, match="send it smaller"):
        decode_picture(picture(), max_pixels=1000, max_side=100)


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_cutout_is_a_png_with_transparency(task: str) -> None:
    cutout = Cutout(number=0 if task == "segment" else 1, crop=False)
    data = answer(task=task, picture_type="image/png", cutout=cutout)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (8, 6))
        assert np.array_equal(np.asarray(image)[..., 3], [[255] * 4 + [0] * 4] * 6)


@pytest.mark.parametrize("task", ["segment", "panoptic"])
def test_cutout_of_what_is_not_there_is_the_callers_mistake(task: str) -> None:
    with pytest.raises(OptionError, match=r"^(instance|segment) is 9"):
        answer(task=task, picture_type="image/png", cutout=Cutout(number=9, crop=True))
