"""Colours for categories: stable, far apart for neighbours, and evenly bright to the eye.

They are chosen in OKLCH (Björn Ottosson, "A perceptual color space for image processing",
2020), where equal steps look equal, and turned to sRGB.
"""

from __future__ import annotations

import math
from functools import lru_cache

Colour = tuple[int, int, int]  # sRGB, 0 to 255

_GOLDEN_ANGLE = 137.508  # degrees: any few hues in a row lie far apart
_FIRST_HUE = 28.0
_LIGHTNESS = (0.70, 0.80, 0.62)
# What sets apart the first, second, third, … of a category: lightness and hue in degrees.
_SIBLINGS = ((0.0, 0), (-0.10, 14), (0.08, -16), (-0.05, -30), (0.12, 22), (-0.14, -8))


def thing_colour(index: int, sibling: int = 0) -> Colour:
    """Return the colour of a thing.

    Args:
        index: of its category among the things.
        sibling: how many of its category come before it in the picture; they differ in shade.
    """
    lightness, hue = _SIBLINGS[sibling % len(_SIBLINGS)]
    return _srgb(_LIGHTNESS[index % 3] + lightness, 0.17, _hue(index) + hue)


def stuff_colour(index: int) -> Colour:
    """Return the colour of a kind of stuff: calmer than those of things.

    Args:
        index: of its category among the kinds of stuff.
    """
    return _srgb(_LIGHTNESS[index % 3], 0.09, _hue(index) + _GOLDEN_ANGLE / 2)


def ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever is easier to read on a colour (WCAG 2 contrast)."""
    luminance = sum(
        weight * _linear(channel / 255)
        for weight, channel in zip((0.2126, 0.7152, 0.0722), colour, strict=True)
    )
    white_is_better = 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05
    return (255, 255, 255) if white_is_better else (16, 16, 16)


def _hue(index: int) -> float:
    return _FIRST_HUE + index * _GOLDEN_ANGLE


@lru_cache(maxsize=1024)
def _srgb(lightness: float, chroma: float, hue: float) -> Colour:
    """Return the sRGB colour nearest in chroma that a screen can show."""
    while True:
        linear = _linear_srgb(lightness, chroma, math.radians(hue))
        if chroma <= 0 or all(-1e-3 <= channel <= 1 + 1e-3 for channel in linear):
            red, green, blue = (round(255 * _gamma(min(max(c, 0.0), 1.0))) for c in linear)
            return red, green, blue
        chroma -= 0.005


def _linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3  # noqa: E741
    m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    )


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
