"""Random and adversarial masks, boxes and pictures, for the tests of everything that pastes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

CASES_AT_ONCE = 8
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class MaskCase:
    """Some maps and boxes in one picture."""

    probabilities: Tensor
    boxes_xyxy: Tensor
    height: int
    width: int
    threshold: float


MAPS = (
    "noise", "smooth", "ones", "zeros", "threshold", "nearly", "checks", "rows", "columns",
    "blob", "constant", "hostile",
)  # fmt: skip
BOXES = (
    "inside", "tiny", "subpixel", "sticking out", "covering", "whole", "outside", "degenerate",
    "on pixels", "on centres", "far", "sliver", "hostile",
)  # fmt: skip


def one_map(kind: str, size: int, threshold: float, random: np.random.Generator) -> np.ndarray:
    limit = np.float32(threshold)
    noise = random.random((size, size), dtype=np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) + 0.5
    if kind == "smooth":
        return 0.5 + 0.5 * np.sin(x * random.random() * 2) * np.cos(y * random.random() * 2)
    if kind == "ones":
        return np.ones_like(noise)
    if kind == "zeros":
        return np.zeros_like(noise)
    if kind == "threshold":
        return np.full_like(noise, limit)
    if kind == "nearly":  # the threshold and its neighbours among the floats
        steps = random.integers(-2, 3, (size, size))
        return (limit + steps * np.spacing(limit)).astype(np.float32)
    if kind == "checks":
        return ((x + y).astype(int) % 2).astype(np.float32)
    if kind == "rows":
        return (y.astype(int) % 2).astype(np.float32)
    if kind == "columns":
        return (x.astype(int) % 2).astype(np.float32)
    if kind == "blob":
        distance = np.hypot(x / size - random.random(), y / size - random.random())
        return 1 / (1 + np.exp((distance - random.random() / 2) * 20))
    if kind == "constant":
        return np.full_like(noise, random.random())
    if kind == "hostile":
        odd = [np.nan, np.inf, -np.inf, LARGEST, -LARGEST, SMALLEST, -0.0, -1.0, 2.0, limit]
        return np.where(noise < 0.2, random.choice(np.array(odd, np.float32), noise.shape), noise)
    return noise


def one_box(kind: str, height: int, width: int, random: np.random.Generator) -> list[float]:
    sides = np.array([width, height], dtype=np.float64)
    corner, extent = random.random(2) * sides, random.random(2) * sides
    if kind == "tiny":
        extent = random.random(2) * 3
    elif kind == "subpixel":
        extent = random.random(2) * 10.0 ** random.integers(-6, 1)
    elif kind == "sticking out":
        corner, extent = corner - extent, extent * 3 + 1
    elif kind == "covering":
        corner, extent = -random.random(2) * sides * 4, sides * (5 + random.random(2) * 4)
    elif kind == "whole":
        corner, extent = np.zeros(2), sides
    elif kind == "outside":
        corner = corner + random.choice([-2, 2], 2) * sides
    elif kind == "degenerate":
        extent = random.choice([0.0, -1.0, 1.0], 2)
    elif kind == "on pixels":
        corner, extent = np.floor(corner), np.floor(extent) + 1
    elif kind == "on centres":
        corner, extent = np.floor(corner) + 0.5, np.floor(extent) + random.choice([0.5, 1])
    elif kind == "far":
        factor = 10.0 ** random.integers(2, 37)
        corner, extent = -random.random(2) * factor, random.random(2) * factor * 2
    elif kind == "sliver":
        extent = random.permutation([extent.max() + 1, random.random() * 0.9])
    box = [*corner, *(corner + extent)]
    if kind == "hostile":
        odd = [np.nan, np.inf, -np.inf, LARGEST, -LARGEST, SMALLEST, 0.0, -0.0, 0.5, 1e-30, 7.0]
        box = [random.choice(odd) if random.random() < 0.5 else value for value in box]
    return [float(value) for value in box]


@st.composite
def mask_cases(draw: st.DrawFn) -> MaskCase:
    """Some cases of all kinds in a picture of any shape, also one pixel wide or high."""
    side = st.one_of(st.integers(1, 4), st.integers(1, 300), st.sampled_from([63, 64, 65, 1000]))
    height, width = draw(side), draw(side)
    size = draw(st.one_of(st.just(56), st.integers(1, 66), st.sampled_from([31, 32, 33, 130])))
    threshold = draw(st.sampled_from([0.5, 0.5, 0.5, 1e-30, 0.01, 0.3, 0.99, 1.0]))
    maps = draw(st.lists(st.sampled_from(MAPS), min_size=CASES_AT_ONCE, max_size=CASES_AT_ONCE))
    boxes = draw(st.lists(st.sampled_from(BOXES), min_size=CASES_AT_ONCE, max_size=CASES_AT_ONCE))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    with np.errstate(all="ignore"):
        probabilities = [one_map(kind, size, threshold, random) for kind in maps]
        corners = [one_box(kind, height, width, random) for kind in boxes]
        return MaskCase(
            probabilities=torch.from_numpy(np.stack(probabilities).astype(np.float32)),
            boxes_xyxy=torch.from_numpy(np.array(corners).astype(np.float32)),
            height=height,
            width=width,
            threshold=threshold,
        )
