"""What a worker does to one picture before and after the network: decode it, encode its answer.

Nothing here needs the network or its libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from model.answers.drawing import encode_picture, overlay_instances, overlay_panoptic
from model.answers.json_answer import (
    InstanceMasks,
    PanopticMasks,
    do_nothing,
    panoptic_answer,
    segment_answer,
)
from model.categories import Categories
from model.pictures.decode import decode_image
from model.prediction.options import PredictOptions
from model.structures import Instances, PanopticSegmentation
from service.engine import Task, is_brief
from service.errors import TooLargeError
from service.image_refusals import image_refusals
from service.json_bytes import to_json


@dataclass(frozen=True, kw_only=True)
class PictureTask:
    """What the server wants of one picture of a batch.

    item: the server's number for it.
    offset, length: where its encoded bytes lie in the arena.
    The others are those of the `service.engine.Job` that it belongs to.
    """

    item: int
    offset: int
    length: int
    task: Task
    score_threshold: float
    max_instances: int
    category_ids: frozenset[int] | None
    masks: str
    picture_type: str | None
    id: str | None
    request_id: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PictureTask:
        """Return the task that a member of a batch frame's `items` describes."""
        ids = data["category_ids"]
        members = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**{**members, "category_ids": None if ids is None else frozenset(ids)})

    @property
    def is_brief(self) -> bool:
        """Whether nothing is drawn, outlined or compressed for the answer."""
        return is_brief(self.masks, self.picture_type)

    @property
    def options(self) -> PredictOptions:
        """What the network's reader is asked for; masks only if they will be used."""
        if self.task == "segment":
            masks = self.masks != "none"
        else:  # a drawing and a PNG are made from the partition
            masks = self.masks == "rle" and self.picture_type is None
        return PredictOptions(
            score_threshold=self.score_threshold,
            max_instances=self.max_instances,
            category_ids=self.category_ids,
            masks=masks,
        )


def decode_picture(data: memoryview, *, max_pixels: int, max_side: int) -> np.ndarray:
    """Return the upright picture: RGB uint8 (H, W, 3).

    Raises:
        ServiceError: it cannot be decoded; the text is for the client.
    """
    try:
        with image_refusals():
            return decode_image(bytes(data), max_pixels=max_pixels, max_side=max_side)
    except MemoryError:
        raise TooLargeError("the server has no memory to decode it; send it smaller") from None


def encode_answer(
    task: PictureTask,
    image: np.ndarray,
    result: Instances | PanopticSegmentation,
    categories: Categories,
    before_each: Callable[[], None] = do_nothing,
) -> bytes:
    """Return the picture's member of `images` as JSON, or its drawing.

    Args:
        image: as it was decoded.
        result: of `task.options`.
        before_each: is called before each instance that is drawn or outlined.
    """
    if task.picture_type is not None:
        if isinstance(result, Instances):
            drawing = overlay_instances(image, result, categories, before_each=before_each)
        else:
            drawing = overlay_panoptic(image, result, categories)
        return encode_picture(drawing, task.picture_type)
    if isinstance(result, Instances):
        instance_masks = cast("InstanceMasks", task.masks)
        answer = segment_answer(
            result,
            categories,
            image_id=task.id,
            masks=instance_masks,
            before_each=before_each,
        )
    else:
        panoptic_masks = cast("PanopticMasks", task.masks)
        answer = panoptic_answer(result, categories, image_id=task.id, masks=panoptic_masks)
    return to_json(answer)


def num_instances(result: Instances | PanopticSegmentation) -> int:
    """Return how many instances or segments there are."""
    return len(result) if isinstance(result, Instances) else len(result.segments)
