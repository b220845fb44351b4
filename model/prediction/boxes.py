"""Geometry of boxes given as (x1, y1, x2, y2), in pixels; x to the right, y down."""
# R boxes

from __future__ import annotations

from torch import Tensor


def rescale(boxes_xyxy: Tensor, *, scale_x: float, scale_y: float) -> Tensor:
    """Return (R, 4) boxes with x and y multiplied."""
    scaled = boxes_xyxy.clone()
    scaled[:, 0::2] *= scale_x
    scaled[:, 1::2] *= scale_y
    return scaled


def clip(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """Return (R, 4) boxes cut to a picture of that size; what lies outside loses its area."""
    clipped = boxes_xyxy.clone()
    clipped[:, 0::2].clamp_(0, width)
    clipped[:, 1::2].clamp_(0, height)
    return clipped


def has_area(boxes_xyxy: Tensor) -> Tensor:
    """Return (R,) bool: the box is wider and higher than nothing."""
    return (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
