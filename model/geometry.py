"""Sizes of the network's input, in plain arithmetic: no tensor library is imported here.

The canvas of a picture is a function of its size and the configuration alone, so an answer
never depends on the pictures that share its batch, and a front end can group pictures by
canvas without touching a pixel.
"""

from __future__ import annotations

from model.config import InputConfig

# The stride of the coarsest backbone output: the canvas is a multiple of it (spec, section 2).
SIZE_DIVISOR = 32


def resized_size(height: int, width: int, config: InputConfig) -> tuple[int, int]:
    """Return (height, width) after resizing: the shorter side wanted, the longer one capped.

    Raises:
        ValueError: a side is below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}×{height} has no pixels")
    if config.short_side == 0:
        return height, width
    scale = config.short_side / min(height, width)
    if height < width:
        new_height, new_width = float(config.short_side), scale * width
    else:
        new_height, new_width = scale * height, float(config.short_side)
    longer = max(new_height, new_width)
    if longer > config.max_side:
        new_height *= config.max_side / longer
        new_width *= config.max_side / longer
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


def canvas_size(height: int, width: int, config: InputConfig) -> tuple[int, int]:
    """Return (height, width) of the padded network input for a picture of that size."""
    resized = resized_size(height, width, config)
    return _round_up(resized[0]), _round_up(resized[1])


def _round_up(side: int) -> int:
    return -(-side // SIZE_DIVISOR) * SIZE_DIVISOR
