from __future__ import annotations

import numpy as np
import pytest
import torch
from pasting import encode_crop, paste_one
from pycocotools import mask as coco_mask

from model.masks.run_lengths import compress


def whole(crop: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return mask


def pasted(probability: np.ndarray, box: list[float], height: int, width: int) -> np.ndarray:
    """Section 7 of the specification in double precision, on the whole picture."""
    size = len(probability)
    bordered = np.pad(probability.astype(np.float64), 1)

    def read(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        position = (np.arange(count) + 0.5 - low) / (high - low) * size - 0.5
        position = np.clip(position, -1, size)
        cell = np.minimum(np.floor(position), size - 1)
        return cell.astype(int) + 1, position - cell

    (column, u), (row, v) = read(box[0], box[2], width), read(box[1], box[3], height)
    u, v = u[None], v[:, None]
    return (
        bordered[np.ix_(row, column)] * (1 - u) * (1 - v)
        + bordered[np.ix_(row, column + 1)] * u * (1 - v)
        + bordered[np.ix_(row + 1, column)] * (1 - u) * v
        + bordered[np.ix_(row + 1, column + 1)] * u * v
    )


@pytest.mark.parametrize("seed", range(40))
def test_bytes_are_those_of_pycocotools_on_the_whole_mask(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(1, 90, 2))
    h, w = int(random.integers(0, height + 1)), int(random.integers(0, width + 1))
    top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
    crop = random.random((h, w)) < random.choice([0.0, 0.03, 0.5, 0.97, 1.0])
    ours = encode_crop(crop, top, left, height, width)
    theirs = coco_mask.encode(whole(crop, top, left, height, width))
    assert ours == theirs


def test_run_over_a_column_end_is_one_run() -> None:
    crop = np.array([[0, 1], [1, 0]], dtype=bool)
    # Column-major: 0 1 1 0 -> one pixel of background, a run of two, one of background.
    assert encode_crop(crop, 0, 0, 2, 2)["counts"] == compress([1, 2, 1])


def test_empty_and_full_masks_are_one_run() -> None:
    empty = encode_crop(np.zeros((0, 0), dtype=bool), 0, 0, 3, 4)
    full = encode_crop(np.ones((3, 4), dtype=bool), 0, 0, 3, 4)
    assert empty["counts"] == compress([12])
    assert full["counts"] == compress([0, 12])


def test_long_runs_take_as_many_characters_as_they_need() -> None:
    counts = [0, 1, 5_000_000, 31, 3, 50_000_000, 2]
    expected = coco_mask.frPyObjects({"size": [1, sum(counts)], "counts": counts}, 1, sum(counts))
    assert compress(counts) == expected["counts"]


def test_crop_outside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3×2 crop at \(2, 0\) does not fit into a 4×4"):
        encode_crop(np.zeros((2, 3), dtype=bool), 0, 2, 4, 4)


@pytest.mark.parametrize("seed", range(60))
def test_pasted_masks_are_the_specifications(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(1, 120, 2))
    size = int(random.choice([1, 2, 7, 28, 56]))
    corner = random.uniform(-40, 100, 2)
    extent = random.choice([0.01, 0.7, 5.0, 60.0, 400.0]) * random.uniform(0.5, 1.5, 2)
    box = [*corner, *(corner + extent)]
    box = [float(np.float32(value)) for value in box]
    probability = random.random((size, size)).astype(np.float32)
    (rle,) = paste_one(torch.from_numpy(probability)[None], torch.tensor([box]), height, width)
    value = pasted(probability, box, height, width)
    differs = coco_mask.decode(rle).astype(bool) != (value >= 0.5)
    # The reference is in double precision: it may differ where the value is 0.5 to rounding.
    tolerance = 1e-5 * max(1.0, 100 / min(extent))
    assert not (differs & (np.abs(value - 0.5) > tolerance)).any()


def test_mask_of_ones_covers_the_pixels_whose_centres_are_in_the_box() -> None:
    (rle,) = paste_one(torch.ones(1, 56, 56), torch.tensor([[1.0, 2.0, 4.0, 4.0]]), 6, 8)
    expected = np.zeros((6, 8), dtype=np.uint8)
    expected[2:4, 1:4] = 1
    np.testing.assert_array_equal(coco_mask.decode(rle), expected)


@pytest.mark.parametrize(
    "box",
    [
        [3.0, 3.0, 3.0, 9.0],
        [5.0, 5.0, 2.0, 9.0],
        [float("nan"), 0.0, 4.0, 4.0],
        [0.0, 0.0, float("inf"), 4.0],
        [20.0, 20.0, 30.0, 30.0],
        [-9.0, -9.0, -3.0, -3.0],
    ],
)
def test_boxes_without_a_pixel_give_an_empty_mask(box: list[float]) -> None:
    (rle,) = paste_one(torch.ones(1, 4, 4), torch.tensor([box]), 10, 10)
    assert rle["counts"] == compress([100])


def test_low_threshold_reaches_half_a_cell_beyond_the_box() -> None:
    (rle,) = paste_one(torch.ones(1, 2, 2), torch.tensor([[4.0, 4.0, 12.0, 12.0]]), 16, 16, 0.01)
    # A cell is 4 pixels wide: the map fades to zero 2 pixels outside the box.
    rows = np.flatnonzero(coco_mask.decode(rle).any(axis=1))
    assert (rows[0], rows[-1]) == (2, 13)


def test_no_instances_give_no_masks() -> None:
    assert paste_one(torch.zeros(0, 56, 56), torch.zeros(0, 4), 10, 10) == []


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold is"):
        paste_one(torch.zeros(1, 4, 4), torch.zeros(1, 4), 10, 10, threshold)
