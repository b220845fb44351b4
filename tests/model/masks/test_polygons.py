from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from model.masks.polygons import polygons
from model.masks.run_columns import crop_of, decompress
from model.structures import RLE


def encode(mask: np.ndarray) -> RLE:
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))


def picture(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def random_masks() -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    masks = []
    for _ in range(60):
        height, width = generator.integers(1, 40, size=2)
        mask = np.zeros((height, width), dtype=bool)
        top, left = generator.integers(0, (height, width))
        patch = mask[top:, left:]
        patch[:] = generator.random(patch.shape) < generator.choice([0.02, 0.3, 0.7, 1.0])
        masks.append(mask)
    return masks


def signed_area(ring: list[float]) -> float:
    x, y = np.array(ring[0::2]), np.array(ring[1::2])
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def fill(rings: list[list[float]], holes: list[int], height: int, width: int) -> np.ndarray:
    filled = np.zeros((height, width), dtype=int)
    for index, ring in enumerate(rings):
        (part,) = coco.frPyObjects([ring], height, width)
        filled += (-1 if index in holes else 1) * coco.decode(part).astype(int)
    return filled


def test_a_crop_is_tight_and_says_where_it_lies() -> None:
    mask = np.zeros((50, 70), dtype=bool)
    mask[10:13, 20:24] = picture("####", "#..#", "####")
    crop, top, left = crop_of(encode(mask))
    assert (top, left) == (10, 20)
    np.testing.assert_array_equal(crop, mask[10:13, 20:24])


def test_crops_put_back_are_the_masks_that_pycocotools_decodes() -> None:
    for mask in random_masks():
        crop, top, left = crop_of(encode(mask))
        back = np.zeros_like(mask)
        back[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        np.testing.assert_array_equal(back, mask)
        if mask.any():
            sides = (crop[0], crop[-1], crop[:, 0], crop[:, -1])
            assert all(side.any() for side in sides)


def test_an_empty_mask_has_an_empty_crop_and_no_rings() -> None:
    rle = encode(np.zeros((9, 11), dtype=bool))
    crop, top, left = crop_of(rle)
    assert (crop.shape, crop.dtype, top, left) == ((0, 0), bool, 0, 0)
    assert polygons(rle) == ([], [])


def test_a_run_over_several_columns_is_one_block() -> None:
    crop, top, left = crop_of(encode(np.ones((3, 5), dtype=bool)))
    assert (crop.shape, crop.all(), top, left) == ((3, 5), True, 0, 0)


def test_runs_of_no_length_are_allowed() -> None:
    # 3×2, column-major: 1 background, 2 object, 0 background, 1 object, 2 background.
    rle = RLE(size=[3, 2], counts=b"120" + _delta(1 - 2) + _delta(2 - 0))
    crop, top, left = crop_of(rle)
    assert (top, left) == (0, 0)
    np.testing.assert_array_equal(crop, picture(".#", "#.", "#."))


def _delta(value: int) -> bytes:
    return bytes([48 + (value & 0x1F)])


def test_long_runs_and_falling_differences_are_decompressed() -> None:
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[5:900, 300:302] = True
    mask[7:9, 900] = True
    np.testing.assert_array_equal(
        decompress(encode(mask)["counts"]), [300_005, 895, 105, 895, 598_107, 2, 99_991]
    )


def test_counts_that_do_not_fill_the_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="8×3"):
        crop_of(RLE(size=[3, 8], counts=b"12"))


def test_counts_that_end_inside_a_number_are_refused() -> None:
    with pytest.raises(ValueError, match="inside a number"):
        crop_of(RLE(size=[3, 8], counts=b"1Q"))


def test_a_single_pixel_is_a_unit_square() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 6] = True
    assert polygons(encode(mask)) == ([[6, 4, 7, 4, 7, 5, 6, 5]], [])


def test_only_corners_are_given() -> None:
    rings, _ = polygons(encode(picture("...", ".##", ".##", ".#.")))
    assert rings == [[1, 1, 3, 1, 3, 3, 2, 3, 2, 4, 1, 4]]


def test_every_part_and_every_hole_has_a_ring() -> None:
    rings, holes = polygons(encode(picture("###..", "#.#.#", "###.#")))
    assert len(rings) == 3
    areas = [signed_area(ring) for ring in rings]
    assert [areas[i] for i in holes] == [-1]
    assert sorted(areas) == [-1, 2, 9]


@pytest.mark.parametrize("rows", [("#.", ".#"), (".#", "#.")])
def test_pixels_that_touch_at_a_corner_are_apart(rows: list[str]) -> None:
    rings, holes = polygons(encode(picture(*rows)))
    assert [signed_area(ring) for ring in rings] == [1, 1]
    assert holes == []


def test_a_part_inside_a_hole_is_no_hole() -> None:
    mask = np.zeros((7, 7), dtype=bool)
    mask[1:6, 1:6] = picture("#####", "#...#", "#.#.#", "#...#", "#####")
    rings, holes = polygons(encode(mask))
    assert [signed_area(ring) for ring in rings] == [25, -9, 1]
    assert holes == [1]


def test_the_area_inside_the_rings_is_the_number_of_pixels() -> None:
    for mask in random_masks():
        rings, _ = polygons(encode(mask))
        assert sum(signed_area(ring) for ring in rings) == mask.sum()


def test_holes_are_exactly_the_rings_of_negative_area() -> None:
    for mask in random_masks():
        rings, holes = polygons(encode(mask))
        assert holes == [i for i, ring in enumerate(rings) if signed_area(ring) < 0]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
def test_rings_filled_by_pycocotools_give_the_mask_back() -> None:
    for mask in random_masks():
        rings, holes = polygons(encode(mask))
        np.testing.assert_array_equal(fill(rings, holes, *mask.shape), mask)
