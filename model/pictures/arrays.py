"""Arrays as pictures: which are, and what to change about those that are not."""

from __future__ import annotations

import numpy as np

WANTED_ARRAY = "uint8 of shape (height, width, 3), RGB"


def rgb_array(array: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) of RGB, RGBA (H, W, 4), of which alpha is dropped, or grey.

    Raises:
        ValueError: it is none of these, or not uint8; the message says what to change.
    """
    check_array(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    return array[..., :3]


def check_array(array: np.ndarray) -> None:
    """Raise ValueError, with what to change, unless it is a uint8 picture of 1, 3 or 4 channels."""
    problem = _problem(array)
    if problem:
        raise ValueError(
            f"an array must be {WANTED_ARRAY}; this is {array.dtype} of shape {array.shape}: "
            f"{problem}"
        )


def _problem(array: np.ndarray) -> str:
    """Return what to change about an array; nothing if it is a picture."""
    if array.ndim == 4:
        return "for several pictures give a list of them"
    if array.ndim not in (2, 3) or array.size == 0:
        return "no picture"
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        if array.shape[0] in (1, 3, 4):
            return "its channels come first; .transpose(1, 2, 0) puts them last"
        return f"{array.shape[2]} channels"
    if array.dtype == np.uint8:
        return ""
    if array.dtype == np.uint16:
        return "(array // 257).astype(np.uint8) fits 16-bit values"
    if array.dtype.kind in "fb" and not array.max() > 1:
        return "(array * 255).round().astype(np.uint8) fits values from 0 to 1"
    return "array.clip(0, 255).astype(np.uint8) fits values from 0 to 255"
