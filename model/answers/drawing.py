"""Results drawn over pictures, for people to look at."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from model.answers.fonts import can_write
from model.answers.json_answer import do_nothing
from model.answers.name_tags import Box, Tag, around_point, beside_box, write_tags
from model.answers.palette import Colour, stuff_colour, thing_colour
from model.answers.strokes import (
    draw_borders,
    fill,
    frame,
    outline,
    paint_segments,
    stroke_of,
)
from model.masks.run_columns import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.categories import Categories, Category
    from model.structures import Instances, PanopticSegmentation, Segment

_THUMBNAIL_SIDE = 160  # where a segment's name goes is decided on so small a mask
_STUFF_SUFFIXES = ("-merged", "-other", "-stuff")


def overlay_instances(
    image: np.ndarray,
    instances: Instances,
    categories: Categories,
    *,
    before_each: Callable[[], None] = do_nothing,
) -> np.ndarray:
    """Return the picture with each instance's mask, contour, box, name and score on it.

    Large instances are drawn first, so that none hides a smaller one; without masks there are
    boxes and names. Without instances the result equals the picture.

    Args:
        image: (H, W, 3) RGB uint8, the picture that the instances were found in.
        before_each: is called before each instance; what it raises ends the drawing.
    """
    _check_size(image, instances.height, instances.width)
    canvas = image.copy()
    colours = _instance_colours(instances)
    boxes = [_box(row) for row in instances.boxes_xyxy]
    stroke = stroke_of(image)
    for index in sorted(range(len(instances)), key=lambda i: -_extent(instances, i)):
        before_each()
        if instances.masks is not None:
            runs = columns_of(instances.masks[index])
            fill(canvas, runs, colours[index])
            outline(canvas, runs, colours[index], stroke)
        frame(canvas, boxes[index], colours[index], stroke)
    tags = [
        _instance_tag(image, name, float(instances.scores[i]), boxes[i], colours[i])
        for i, name in enumerate(_shown_name(categories.things[int(c)]) for c in instances.classes)
    ]
    order = sorted(range(len(tags)), key=lambda i: -float(instances.scores[i]))
    return write_tags(canvas, [tags[i] for i in order])


def overlay_panoptic(
    image: np.ndarray, result: PanopticSegmentation, categories: Categories
) -> np.ndarray:
    """Return the picture with every segment's colour, border and name on it; void stays bare.

    Args:
        image: (H, W, 3) RGB uint8, the picture that was partitioned.
    """
    _check_size(image, result.height, result.width)
    if not result.segments:
        return image.copy()
    seen = Counter[int]()
    colours: list[Colour] = []
    for segment in result.segments:
        if segment.is_thing:
            colours.append(thing_colour(segment.label, seen[segment.label]))
            seen[segment.label] += 1
        else:
            colours.append(stuff_colour(segment.label - 1))
    mixed = paint_segments(image, result, colours)
    draw_borders(mixed, result.segment_ids, stroke_of(image))
    tags = [
        _segment_tag(result.segment_ids, segment, colour, categories)
        for segment, colour in zip(result.segments, colours, strict=True)
    ]
    order = sorted(range(len(tags)), key=lambda i: -result.segments[i].area)
    return write_tags(mixed, [tags[i] for i in order])


def inmost_point(segment_ids: np.ndarray, segment: Segment) -> tuple[float, float]:
    """Return x and y of a point of the segment that is far from its border."""
    left, top, width, height = segment.bbox_xywh
    step = max(1, -(-max(width, height) // _THUMBNAIL_SIDE))
    box = segment_ids[top : top + height : step, left : left + width : step]
    mask = np.pad((box == segment.id).astype(np.uint8), 1)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return left + (int(column) - 0.5) * step, top + (int(row) - 0.5) * step


def encode_picture(image: np.ndarray, media_type: str) -> bytes:
    """Return the file of a picture.

    Args:
        image: (H, W, 3) RGB uint8; for PNG also (H, W, 4) RGBA.
        media_type: image/jpeg or image/png.

    Raises:
        ValueError: another media type.
    """
    buffer = io.BytesIO()
    if media_type == "image/jpeg":
        # No chroma subsampling: it would smear contours and letters.
        Image.fromarray(image).save(buffer, "JPEG", quality=90, subsampling=0)
    elif media_type == "image/png":
        Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    else:
        raise ValueError(f"media type is {media_type!r}; it must be image/jpeg or image/png")
    return buffer.getvalue()


def _instance_colours(instances: Instances) -> list[Colour]:
    seen = Counter[int]()
    colours = []
    for index in instances.classes.tolist():
        colours.append(thing_colour(index, seen[index]))
        seen[index] += 1
    return colours


def _extent(instances: Instances, index: int) -> float:
    if instances.areas is not None:
        return float(instances.areas[index])
    x0, y0, x1, y1 = _box(instances.boxes_xyxy[index])
    return (x1 - x0) * (y1 - y0)


def _instance_tag(image: np.ndarray, name: str, score: float, box: Box, colour: Colour) -> Tag:
    x0, y0, x1, y1 = box
    share = ((x1 - x0) * (y1 - y0) / (image.shape[0] * image.shape[1])) ** 0.5
    return Tag(
        texts=(_with_score(name, score), name),
        colour=colour,
        spots=beside_box(box),
        scale=min(1.0, 0.8 + share),
    )


def _shown_name(category: Category) -> str:
    """Return the category's name, or its id where no font has all of the name's characters."""
    return category.name if can_write(category.name) else f"class {category.id}"


def _with_score(name: str, score: float) -> str:
    return f"{name} {100 * score:.0f} %"


def _segment_tag(
    segment_ids: np.ndarray, segment: Segment, colour: Colour, categories: Categories
) -> Tag:
    category = categories.of(segment.label, segment.is_thing)
    name = _shown_name(category)
    texts: tuple[str, ...]
    if segment.is_thing and segment.score is not None:
        texts = (_with_score(name, segment.score), name)
    else:
        for suffix in _STUFF_SUFFIXES:
            name = name.removesuffix(suffix)
        texts = (name,)
    x, y = inmost_point(segment_ids, segment)
    share = (segment.area / segment_ids.size) ** 0.5
    return Tag(texts=texts, colour=colour, spots=around_point(x, y), scale=min(1.0, 0.8 + share))


def _box(row: np.ndarray) -> Box:
    x0, y0, x1, y1 = row.tolist()
    return x0, y0, x1, y1


def _check_size(image: np.ndarray, height: int, width: int) -> None:
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"the picture is {image.dtype} {image.shape}; the result is for uint8 "
            f"({height}, {width}, 3)"
        )
