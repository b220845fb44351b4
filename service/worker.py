"""The loaded model, and everything that happens to one picture: decode, predict, encode.

The only module of the service that touches the network or a pixel. It is imported in the
engine's thread, so the server answers while the libraries are still loading.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from model.answer import InstanceMasks, PanopticMasks, panoptic_answer, segment_answer
from model.decode import decode_image
from model.draw import encode_picture, overlay_instances, overlay_panoptic
from model.predictor import PredictOptions, Predictor
from model.stages import StageTimes
from model.zoo import open_model
from service.answers import to_json
from service.engine import Job, ModelInfo, Picture, PictureAnswer
from service.pictures import image_refusals
from service.settings import Settings


def load_worker(settings: Settings) -> Worker:
    """Return a worker with the model that the settings ask for.

    Raises:
        ValueError, OSError: it cannot be had; the text says why.
    """
    checkpoint = open_model(
        settings.weights,
        config=settings.config,
        overrides=settings.overrides,
        categories=settings.categories,
    )
    predictor = Predictor.from_checkpoint(checkpoint, _check_device(settings.device))
    model = ModelInfo(
        name=settings.name or predictor.config.name,
        sha256=checkpoint.sha256,
        device=str(predictor.device),
        precision="float32",
        config=predictor.config,
        categories=predictor.categories,
    )
    return Worker(predictor, model, max_pixels=settings.max_pixels, max_side=settings.max_side)


class Worker:
    """Runs one picture at a time; belongs to one thread."""

    def __init__(
        self, predictor: Predictor, model: ModelInfo, *, max_pixels: int, max_side: int
    ) -> None:
        self.model = model
        self._predictor = predictor
        self._max_pixels = max_pixels
        self._max_side = max_side

    def warm_up(self) -> None:
        """Run a grey picture through all that the model can do."""
        picture = np.full((480, 640, 3), 128, dtype=np.uint8)
        self._predictor.segment([picture], PredictOptions())
        if "panoptic" in self.model.tasks:
            self._predictor.panoptic([picture], PredictOptions())

    def run(self, job: Job, picture: Picture) -> PictureAnswer:
        """Return one picture's answer: its member of `images` as JSON, or its drawing.

        Raises:
            ServiceError: it cannot be decoded.
        """
        stages = StageTimes()
        with stages.measure("decode"), image_refusals():
            image = decode_image(picture.data, max_pixels=self._max_pixels, max_side=self._max_side)
        answer = self._segment if job.task == "segment" else self._panoptic
        body = answer(job, picture.id, image, stages)
        return PictureAnswer(body=body, seconds=dict(stages.seconds))

    def _segment(
        self, job: Job, image_id: str | None, image: np.ndarray, stages: StageTimes
    ) -> bytes:
        options = _predict_options(job, masks=job.masks != "none")
        [instances] = self._predictor.segment([image], options, stages=stages)
        categories = self.model.categories
        with stages.measure("encode"):
            if job.picture_type is not None:
                drawing = overlay_instances(image, instances, categories)
                return encode_picture(drawing, job.picture_type)
            masks = cast("InstanceMasks", job.masks)
            return to_json(segment_answer(instances, categories, image_id=image_id, masks=masks))

    def _panoptic(
        self, job: Job, image_id: str | None, image: np.ndarray, stages: StageTimes
    ) -> bytes:
        # A drawing and a PNG are made from the partition: run lengths would be wasted on them.
        options = _predict_options(job, masks=job.masks == "rle" and job.picture_type is None)
        [result] = self._predictor.panoptic([image], options, stages=stages)
        categories = self.model.categories
        with stages.measure("encode"):
            if job.picture_type is not None:
                drawing = overlay_panoptic(image, result, categories)
                return encode_picture(drawing, job.picture_type)
            masks = cast("PanopticMasks", job.masks)
            return to_json(panoptic_answer(result, categories, image_id=image_id, masks=masks))


def _predict_options(job: Job, *, masks: bool) -> PredictOptions:
    return PredictOptions(
        score_threshold=job.score_threshold,
        max_instances=job.max_instances,
        category_ids=job.category_ids,
        masks=masks,
    )


def _check_device(device: str) -> str:
    """Return the device; ValueError if there is no such one here."""
    if device.partition(":")[0] not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}; it must be auto, cpu, cuda or cuda:N")
    if device.startswith("cuda"):
        number = device.partition(":")[2] or "0"
        if not number.isdecimal() or int(number) >= torch.cuda.device_count():
            raise ValueError(
                f"device is {device!r}; this machine shows {torch.cuda.device_count()} CUDA devices"
            )
    return device
