"""Name tags on a picture: readable, inside it, and out of each other's way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from model.answers.fonts import BUNDLED, Run, font_at, length_of, runs_of
from model.answers.palette import Colour, ink_on

_MIN_FONT_SIZE = 10
_MAX_OVERLAP = 0.15  # of its own area: a tag that would be hidden more is left out
_MAX_SHARE = 0.2  # of the picture that tags may cover; the first is always written
_SMOOTHING = 4  # a tag's shape is drawn so many times larger, then shrunk

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A name to write.

    texts: from the longest to the shortest; the first that fits the picture is written.
    spots: left and top for a tag of a width and height, best first.
    scale: of the font, against the picture's own.
    """

    texts: Sequence[str]
    colour: Colour
    spots: Callable[[float, float], Sequence[tuple[float, float]]]
    scale: float = 1.0


def font_size(height: int, width: int) -> float:
    """Return the font size, in pixels, that suits a picture of that size."""
    return float(max(_MIN_FONT_SIZE, 0.0245 * (height * width) ** 0.5))


def beside_box(box: Box) -> Callable[[float, float], list[tuple[float, float]]]:
    """Return spots for a tag at a box: above it, in its corners, below it."""
    left, top, right, bottom = box

    def spots(width: float, height: float) -> list[tuple[float, float]]:
        return [
            (left, top - height),
            (left, top),
            (right - width, top - height),
            (left, bottom),
            (right - width, top),
            (left, bottom - height),
            (right - width, bottom),
            (right - width, bottom - height),
            ((left + right - width) / 2, (top + bottom - height) / 2),
        ]

    return spots


def around_point(x: float, y: float) -> Callable[[float, float], list[tuple[float, float]]]:
    """Return spots for a tag on a point: in its middle, then a little higher or lower."""

    def spots(width: float, height: float) -> list[tuple[float, float]]:
        steps = (0.0, -1.1, 1.1, -2.2, 2.2)
        return [(x - width / 2, y + (step - 0.5) * height) for step in steps]

    return spots


def write_tags(image: np.ndarray, tags: Sequence[Tag]) -> np.ndarray:
    """Return the picture with the tags on it; the first ones choose their places first.

    A tag for which no text fits the picture, or no spot is free enough, is left out; so is one
    that would leave too little of the picture to see.

    Args:
        image: (H, W, 3) RGB uint8.
    """
    if not tags:
        return image
    canvas = Image.fromarray(image)
    size = font_size(*image.shape[:2])
    taken: list[Box] = []
    budget = _MAX_SHARE * canvas.width * canvas.height
    for tag in tags:
        fitted = _fit(tag, size, canvas.size)
        if fitted is None:
            continue
        runs, extent = fitted
        box = _free_spot(tag, extent, canvas.size, taken)
        if box is not None and (not taken or extent[0] * extent[1] <= budget):
            taken.append(box)
            budget -= extent[0] * extent[1]
            _write(canvas, runs, box, tag.colour)
    return np.array(canvas)


def _fit(
    tag: Tag, size: float, picture: tuple[int, int]
) -> tuple[list[Run], tuple[int, int]] | None:
    wanted = max(_MIN_FONT_SIZE, round(size * tag.scale))
    for text in tag.texts:
        for points in (wanted, _MIN_FONT_SIZE):
            runs = runs_of(text, points)
            extent = (round(length_of(runs) + 0.8 * points), round(1.45 * points))
            if runs and extent[0] <= picture[0] and extent[1] <= picture[1] / 2:
                return runs, extent
    return None


def _free_spot(
    tag: Tag, extent: tuple[int, int], picture: tuple[int, int], taken: Sequence[Box]
) -> Box | None:
    width, height = extent
    best, least = None, _MAX_OVERLAP * width * height
    for left, top in tag.spots(width, height):
        x = round(min(max(left, 0), picture[0] - width))
        y = round(min(max(top, 0), picture[1] - height))
        box = (x, y, x + width, y + height)
        overlap = sum(_overlap(box, other) for other in taken)
        if overlap == 0:
            return box
        if overlap < least:
            best, least = box, overlap
    return best


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _write(canvas: Image.Image, runs: Sequence[Run], box: Box, colour: Colour) -> None:
    left, top, right, bottom = (int(side) for side in box)
    canvas.paste(colour, (left, top), _rounded(right - left, bottom - top))
    size = round(runs[0].font.size)
    ascent, descent = font_at(BUNDLED, size).getmetrics()
    x, baseline = left + 0.4 * size, (top + bottom + ascent - descent) / 2
    draw = ImageDraw.Draw(canvas)
    for run in runs:
        draw.text((x, baseline), run.text, fill=ink_on(colour), font=run.font, anchor="ls")
        x += run.font.getlength(run.text)


@lru_cache(maxsize=256)
def _rounded(width: int, height: int) -> Image.Image:
    large = Image.new("L", (width * _SMOOTHING, height * _SMOOTHING))
    corners = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(corners, 0.25 * large.height, fill=240)
    return large.resize((width, height), Image.Resampling.BOX)
