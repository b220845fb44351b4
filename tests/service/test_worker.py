from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from service_fakes import INSTANCE_MODEL, PANOPTIC_MODEL, picture

from model.predictor import PredictOptions, Predictor
from model.rle import encode_crop
from model.stages import StageTimes
from model.structures import Instances, PanopticSegmentation, Segment
from service.engine import Job, Picture
from service.errors import NotAnImageError, ServiceError, TooLargeError, UnsupportedMediaError
from service.schemas import PanopticImage, SegmentedImage
from service.worker import Worker


class FakePredictor:
    """Finds one bus in the left half of every picture, and says the right half is road."""

    def __init__(self) -> None:
        self.options: list[PredictOptions] = []
        self.shapes: list[tuple[int, ...]] = []

    def segment(
        self,
        images: Sequence[np.ndarray],
        options: PredictOptions,
        *,
        stages: StageTimes | None = None,
    ) -> list[Instances]:
        self._remember(images, options, stages)
        return [self._instances(*image.shape[:2], masks=options.masks) for image in images]

    def panoptic(
        self,
        images: Sequence[np.ndarray],
        options: PredictOptions,
        *,
        stages: StageTimes | None = None,
    ) -> list[PanopticSegmentation]:
        self._remember(images, options, stages)
        return [self._partition(*image.shape[:2], masks=options.masks) for image in images]

    def _remember(
        self, images: Sequence[np.ndarray], options: PredictOptions, stages: StageTimes | None
    ) -> None:
        self.options.append(options)
        self.shapes.extend(image.shape for image in images)
        if stages is not None:
            stages.seconds["forward"] += 0.5

    def _instances(self, height: int, width: int, *, masks: bool) -> Instances:
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

    def _partition(self, height: int, width: int, *, masks: bool) -> PanopticSegmentation:
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


def run(data: bytes, **changes: Any) -> tuple[bytes, FakePredictor]:
    predictor = FakePredictor()
    worker = Worker(cast("Predictor", predictor), PANOPTIC_MODEL, max_pixels=1000, max_side=100)
    members: dict[str, Any] = {
        "task": "segment",
        "model": "Panoptic/R_50_1x",
        "pictures": (Picture(data=data, id="a.jpg"),),
        "score_threshold": 0.3,
        "max_instances": 7,
        "category_ids": frozenset({6}),
        "masks": "rle",
        "picture_type": None,
        "deadline": 1e9,
        "request_id": "r",
        **changes,
    }
    job = Job(**members)
    answer = worker.run(job, job.pictures[0])
    assert answer.seconds["forward"] == 0.5
    assert {"decode", "encode"} <= set(answer.seconds)
    return answer.body, predictor


def test_segment_answers_the_native_member_of_images() -> None:
    body, predictor = run(picture(8, 6))

    image = SegmentedImage.model_validate_json(body)
    assert (image.id, image.width, image.height) == ("a.jpg", 8, 6)
    [instance] = image.instances
    assert (instance.category_id, instance.category, instance.score) == (6, "bus", 0.75)
    assert list(instance.bbox) == [0, 0, 4, 6]
    assert instance.area == 24
    assert predictor.options == [
        PredictOptions(
            score_threshold=0.3, max_instances=7, category_ids=frozenset({6}), masks=True
        )
    ]
    assert predictor.shapes == [(6, 8, 3)]


def test_polygons_are_rings_with_holes_beside_them() -> None:
    body, _ = run(picture(8, 6), masks="polygon")
    [instance] = SegmentedImage.model_validate_json(body).instances
    assert isinstance(instance.segmentation, list)
    assert instance.holes == []


def test_masks_that_nobody_wants_are_not_computed() -> None:
    body, predictor = run(picture(8, 6), masks="none")
    assert "segmentation" not in json.loads(body)["instances"][0]
    SegmentedImage.model_validate_json(body)
    assert not predictor.options[0].masks


def test_panoptic_answers_things_and_stuff() -> None:
    body, _ = run(picture(8, 6), task="panoptic", score_threshold=0.0)
    image = PanopticImage.model_validate_json(body)
    assert [one.category for one in image.segments] == ["bus", "road"]
    assert [one.score for one in image.segments] == [0.75, None]


def test_panoptic_png_needs_no_run_lengths() -> None:
    body, predictor = run(picture(8, 6), task="panoptic", masks="png")
    image = PanopticImage.model_validate_json(body)
    assert image.png is not None
    assert image.segments[0].segmentation is None
    assert not predictor.options[0].masks


@pytest.mark.parametrize("task", ["segment", "panoptic"])
@pytest.mark.parametrize(("media_type", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_drawing_has_the_size_of_the_picture(task: str, media_type: str, kind: str) -> None:
    body, _ = run(picture(30, 20), task=task, picture_type=media_type)
    with Image.open(io.BytesIO(body)) as drawing:
        assert drawing.format == kind
        assert drawing.size == (30, 20)


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
        run(data)


@pytest.mark.parametrize(("model", "expected"), [(INSTANCE_MODEL, 1), (PANOPTIC_MODEL, 2)])
def test_warm_up_runs_all_that_the_model_can_do(model: Any, expected: int) -> None:
    predictor = FakePredictor()
    Worker(cast("Predictor", predictor), model, max_pixels=1000, max_side=100).warm_up()
    assert len(predictor.options) == expected
