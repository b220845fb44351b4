"""What a drawing puts on the picture itself: masks, contours, boxes, borders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from model.answers.name_tags import Box, font_size
from model.answers.palette import Colour
from model.masks.polygons import rings
from model.masks.run_columns import Columns, row_blocks

if TYPE_CHECKING:
    from model.structures import PanopticSegmentation

_FILL = 0.4  # how much of its colour covers an instance
_SEGMENT_FILL = 0.45
_BORDER_LIGHT = 0.7  # how white the borders of segments are
_SUBPIXEL_BITS = 3  # contours are drawn to an eighth of a pixel


def stroke_of(image: np.ndarray) -> float:
    """Return how broad lines on such a picture are, in pixels."""
    return max(1.0, font_size(*image.shape[:2]) / 7)


def fill(canvas: np.ndarray, runs: Columns, colour: Colour) -> None:
    """Cover a mask with its colour, half transparent."""
    levels = np.arange(256)[:, None] * (1 - _FILL) + np.array(colour) * _FILL
    table = np.round(levels).astype(np.uint8)[None]
    for top, left, block in row_blocks(runs):
        region = canvas[top : top + block.shape[0], left : left + block.shape[1]]
        cv2.copyTo(cv2.LUT(region, table), block, region)


def outline(canvas: np.ndarray, runs: Columns, colour: Colour, stroke: float) -> None:
    """Draw the contours of a mask."""
    contours = [_walk(points) for points, _ in rings(runs, canvas.shape[0])]
    if not contours:
        return
    # A stroke must not cover what it surrounds: half the mean breadth of the parts at most.
    length = sum(len(contour) for contour in contours)
    thickness = max(1.0, min(stroke, 0.5 * runs.num_pixels / length))
    lines = [
        np.round(_smooth(contour, thickness) * 2**_SUBPIXEL_BITS).astype(np.int32)
        for contour in contours
    ]
    cv2.polylines(canvas, lines, True, colour, round(thickness), cv2.LINE_AA, _SUBPIXEL_BITS)


def frame(canvas: np.ndarray, box: Box, colour: Colour, stroke: float) -> None:
    """Draw a box."""
    x0, y0, x1, y1 = (round(side) for side in box)
    thickness = max(1, round(stroke / 2))
    cv2.rectangle(canvas, (x0, y0), (max(x1 - 1, x0), max(y1 - 1, y0)), colour, thickness)


def paint_segments(
    image: np.ndarray, result: PanopticSegmentation, colours: list[Colour]
) -> np.ndarray:
    """Return the picture with each segment covered with its colour; void stays bare."""
    num_ids = 1 + int(result.segment_ids.max(initial=0))
    paint = np.zeros((num_ids, 3), dtype=np.uint8)
    is_segment = np.zeros(num_ids, dtype=np.uint8)
    for segment, colour in zip(result.segments, colours, strict=True):
        paint[segment.id], is_segment[segment.id] = colour, 1
    painted = np.take(paint, result.segment_ids, axis=0)
    mixed = cv2.addWeighted(image, 1 - _SEGMENT_FILL, painted, _SEGMENT_FILL, 0)
    return np.asarray(cv2.copyTo(mixed, np.take(is_segment, result.segment_ids), image.copy()))


def draw_borders(canvas: np.ndarray, segment_ids: np.ndarray, stroke: float) -> None:
    """Draw white lines where one segment ends and another begins."""
    border = np.zeros(segment_ids.shape, dtype=np.uint8)
    border[1:] |= segment_ids[1:] != segment_ids[:-1]
    border[:, 1:] |= segment_ids[:, 1:] != segment_ids[:, :-1]
    width = max(1, round(stroke * 0.75))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    alpha = cv2.GaussianBlur(cv2.dilate(border * np.uint8(255), shape), (3, 3), 0)
    rows, columns = np.nonzero(alpha)
    weight = _BORDER_LIGHT / 255 * alpha[rows, columns, None]
    canvas[rows, columns] = np.round(canvas[rows, columns] * (1 - weight) + 255 * weight)


def _walk(ring: np.ndarray) -> np.ndarray:
    """Return a ring of corners, (n, 2), in steps of a pixel; OpenCV's frame, by pixel centres."""
    steps = np.roll(ring, -1, axis=0) - ring
    lengths = np.abs(steps).sum(axis=1)
    edge = np.repeat(np.arange(len(ring)), lengths)
    offset = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(ring[edge] + np.sign(steps)[edge] * offset[:, None] - 0.5)


def _smooth(points: np.ndarray, stroke: float) -> np.ndarray:
    """Average a closed contour, (n, 2), along itself: stairs become slopes, which need fewer
    points.
    """
    reach = round(stroke)  # at most a sixth of its length
    if len(points) < 6 * reach:
        return points.astype(np.float64)
    wrapped = np.concatenate((points[-reach:], points, points[: reach + 1])).astype(np.float64)
    sums = np.cumsum(wrapped, axis=0)
    sums[1:] = sums[:-1].copy()
    sums[0] = 0
    averages = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    return np.asarray(averages[:: max(1, reach // 2)])
