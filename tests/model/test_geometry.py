from __future__ import annotations

import pytest

from model.config import InputConfig
from model.geometry import canvas_size, resized_size

RELEASED = InputConfig(short_side=800, max_side=1333)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 451), (800, 1203)),  # the golden photos: chelsea
        ((512, 512), (800, 800)),  # and astronaut
        ((500, 200), (1333, 533)),  # the longer side decides
        ((200, 500), (533, 1333)),
        ((1, 100_000), (1, 1333)),  # a line keeps a pixel
    ],
)
def test_shorter_side_is_wanted_and_longer_side_is_capped(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, RELEASED) == expected


def test_short_side_0_keeps_the_size() -> None:
    assert resized_size(300, 451, InputConfig(short_side=0)) == (300, 451)


def test_canvas_is_rounded_up_to_32() -> None:
    assert canvas_size(300, 451, RELEASED) == (800, 1216)
    assert canvas_size(32, 64, InputConfig(short_side=0)) == (32, 64)


def test_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0×5 has no pixels"):
        resized_size(5, 0, RELEASED)
