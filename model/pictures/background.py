"""What shows through where a picture is transparent, if its alpha is not to be dropped."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

Background = Literal["white", "black", "checker"]
BACKGROUNDS: tuple[Background, ...] = get_args(Background)

# As editors show transparency: squares of so many pixels, white and light grey.
_SQUARE, _LIGHT_GREY = 8, 204


def put_on(image: Image.Image, background: Background) -> Image.Image:
    """Return an RGB picture: one with transparency before a background."""
    whole = Image.fromarray(_pixels(background, *reversed(image.size)))
    above = image.convert("RGBA")
    whole.paste(above, mask=above.getchannel("A"))
    return whole


def _pixels(background: Background, height: int, width: int) -> np.ndarray:
    if background == "black":
        return np.zeros((height, width, 3), np.uint8)
    pixels = np.full((height, width, 3), 255, np.uint8)
    if background == "checker":
        rows, columns = np.arange(height) // _SQUARE, np.arange(width) // _SQUARE
        pixels[(rows[:, None] + columns) % 2 == 1] = _LIGHT_GREY
    return pixels
