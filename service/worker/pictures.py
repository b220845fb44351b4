"""What a worker does to one picture before and after the network: decode it, encode its answer.

Nothing here needs the network or its libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from model.answers.cutout import NothingToCutError, cut_out_instances, cut_out_segments
from model.answers.dialects.choice import native_masks, tell
from model.answers.dialects.cvat import TooManyPixelsError
from model.answers.drawing import encode_picture, overlay_instances, overlay_panoptic
from model.answers.json_answer import (
    InstanceMasks,
    PanopticMasks,
    do_nothing,
    panoptic_answer,
    segment_answer,
)
from model.categories import Categories
from model.pictures.background import Background
from model.pictures.decode import decode_image
from model.structures import Instances, PanopticSegmentation
from service.engine import Cutout
from service.errors import OptionError, TooLargeError
from service.image_refusals import image_refusals
from service.json_bytes import to_json
from service.pool.messages import BatchItem


def decode_picture(
    data: bytes, *, max_pixels: int, max_side: int, background: Background | None = None
) -> np.ndarray:
    """Return the upright picture: RGB uint8 (H, W, 3).

    Raises:
        ServiceError: it cannot be decoded; the text is for the client.
    """
    try:
        with image_refusals():
            return decode_image(
                data, max_pixels=max_pixels, max_side=max_side, background=background
            )
    except MemoryError:
        raise TooLargeError("the server has no memory to decode it; send it smaller") from None


def encode_answer(
    item: BatchItem,
    image: np.ndarray,
    result: Instances | PanopticSegmentation,
    categories: Categories,
    before_each: Callable[[], None] = do_nothing,
) -> bytes:
    """Return the picture's member of `images` as JSON, its drawing or what is cut out of it.

    Args:
        image: as it was decoded.
        result: of what the item is asked.
        before_each: is called before each instance that is drawn, outlined or told.

    Raises:
        TooLargeError: the answer would be.
        OptionError: there is no such thing to cut out.
    """
    asked = item.asked
    if asked.cutout is not None:
        return encode_picture(
            _cut_out(asked.cutout, image, result, categories, before_each), "image/png"
        )
    if asked.picture_type is not None:
        if isinstance(result, Instances):
            drawing = overlay_instances(image, result, categories, before_each=before_each)
        else:
            drawing = overlay_panoptic(image, result, categories)
        return encode_picture(drawing, asked.picture_type)
    masks = native_masks(asked.format, asked.masks)
    if isinstance(result, Instances):
        instance_masks = cast("InstanceMasks", masks)
        answer = segment_answer(
            result,
            categories,
            image_id=item.id,
            masks=instance_masks,
            before_each=before_each,
        )
    else:
        panoptic_masks = cast("PanopticMasks", masks)
        answer = panoptic_answer(result, categories, image_id=item.id, masks=panoptic_masks)
    try:
        return to_json(tell(answer, asked.format, asked.masks, before_each))
    except TooManyPixelsError as error:
        raise TooLargeError(str(error)) from None


def _cut_out(
    cutout: Cutout,
    image: np.ndarray,
    result: Instances | PanopticSegmentation,
    categories: Categories,
    before_each: Callable[[], None],
) -> np.ndarray:
    number, crop = cutout.number, cutout.crop
    try:
        if isinstance(result, Instances):
            return cut_out_instances(
                image, result, categories, number=number, crop=crop, before_each=before_each
            )
        return cut_out_segments(image, result, number=number, crop=crop)
    except NothingToCutError as error:
        raise OptionError(str(error)) from None


def num_instances(result: Instances | PanopticSegmentation) -> int:
    """Return how many instances or segments there are."""
    return len(result) if isinstance(result, Instances) else len(result.segments)
