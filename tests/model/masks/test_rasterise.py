from __future__ import annotations

import goldens
import numpy as np
import pytest

from model.masks import rasterise
from model.masks.rasterise import (
    Bitmap,
    bitmap_of,
    bitmap_on_grid,
    fill,
    paint,
    polygons_on_grid,
    run_lengths,
)

CONFIGURATIONS = [
    name for name in goldens.configurations() if (goldens.FOLDER / name / "train.npz").is_file()
]


def square(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_mask_targets_are_the_originals(name: str) -> None:
    expected = np.load(goldens.FOLDER / name / "train.npz")["target.mask56"].astype(bool)
    images = goldens.read("_train/inputs")["images"]
    masks = [
        polygons_on_grid(
            [np.array(p).reshape(-1, 2) for p in polygons], np.array(box, dtype=np.float32), 56
        )
        for image in images
        for polygons, box in zip(image["polygons"], image["boxes"], strict=True)
    ]
    np.testing.assert_array_equal(np.stack(masks), expected)


def test_a_bitmaps_cells_are_those_covered_by_half() -> None:
    crop = np.array([[1, 1, 1, 0], [1, 1, 1, 0]], dtype=bool)
    bitmap = Bitmap(crop=crop, top=5, left=10)
    # Two cells of 2 × 2 pixels: full, and half full.
    assert bitmap_on_grid(bitmap, np.array([10, 5, 14, 7]), 2).tolist() == [[1, 1], [1, 1]]
    # A box that leaves the bitmap: the cells outside are empty.
    assert bitmap_on_grid(bitmap, np.array([10, 5, 18, 9]), 2).tolist() == [[1, 0], [0, 0]]


def test_a_bitmap_is_magnified_without_smoothing() -> None:
    bitmap = Bitmap(crop=np.eye(2, dtype=bool), top=0, left=0)
    grid = bitmap_on_grid(bitmap, np.array([0, 0, 2, 2]), 6)
    np.testing.assert_array_equal(grid, np.kron(np.eye(2), np.ones((3, 3))).astype(bool))


def test_bitmaps_and_polygons_agree_but_for_the_rim() -> None:
    disc = np.stack(
        [50 + 40 * f(np.linspace(0, 2 * np.pi, 60, endpoint=False)) for f in (np.cos, np.sin)], 1
    )
    box = np.array([10, 10, 90, 90], dtype=np.float32)
    drawn = polygons_on_grid([disc], box, 28)
    sampled = bitmap_on_grid(bitmap_of(run_lengths([disc], 100, 100)), box, 28)
    assert drawn.sum() > 500
    assert (drawn != sampled).sum() < 40


def test_later_shapes_lie_over_earlier_ones() -> None:
    canvas = np.zeros((4, 6), dtype=np.uint8)
    shapes = [([square(0, 0, 4, 4)], 1), ([square(2, 0, 6, 2)], 2)]
    paint(shapes, 4, 6, canvas=canvas)
    assert canvas.tolist() == [
        [1, 1, 2, 2, 2, 2],
        [1, 1, 2, 2, 2, 2],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
    ]


def test_no_polygons_fill_nothing() -> None:
    assert not fill([], 3, 4).any()
    assert bitmap_of(run_lengths([], 3, 4)).crop.size == 0


@pytest.mark.parametrize("far", [8.0, 1e3, 1e5, 1e9])
@pytest.mark.parametrize("turn", range(4))
def test_a_mask_that_reaches_far_out_of_its_box_is_drawn_at_the_box_alone(
    far: float, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    original = rasterise.fill

    def watched(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
        drawn.extend(float(np.abs(polygon).max()) for polygon in polygons)
        return original(polygons, height, width)

    monkeypatch.setattr(rasterise, "fill", watched)
    # The half plane beyond the middle of the box, as far as the shape goes.
    half = [(0.5, -far), (far, -far), (far, far), (0.5, far)]
    for _ in range(turn):
        half = [(1 - y, x) for x, y in half]
    mask = polygons_on_grid([np.array(half)], np.array([0, 0, 1, 1], dtype=np.float32), 8)
    expected = np.zeros((8, 8), dtype=bool)
    expected[:, 4:] = True
    np.testing.assert_array_equal(mask, np.rot90(expected, -turn))
    assert max(drawn) <= 16 * 8
