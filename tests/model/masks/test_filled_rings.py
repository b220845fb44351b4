from __future__ import annotations

import numpy as np
import pytest
from masks_of_pictures import MASKS, rle_of
from pycocotools import mask as coco_mask

from model.masks import filled_rings
from model.masks.filled_rings import mask_of_rings
from model.masks.joined_ring import joined_ring
from model.masks.mask_png import mask_png, read_mask_png
from model.masks.polygons import polygons
from model.masks.simplified_ring import simplified_ring


def corners(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float).reshape(-1, 2)


@pytest.mark.parametrize("name", sorted(MASKS))
def test_outline_is_filled_to_the_mask_it_came_from(name: str) -> None:
    mask = rle_of(MASKS[name])
    rings, _ = polygons(mask)
    found = [corners(*ring) for ring in rings]
    assert mask_of_rings(found, *mask["size"], has_holes=True) == mask
    assert mask_of_rings([joined_ring(mask)], *mask["size"]) == mask


def test_pixel_belongs_to_a_ring_if_its_centre_does() -> None:
    mask = mask_of_rings([corners(0.6, 0, 3.6, 0, 3.6, 2, 0.6, 2)], 3, 5)
    expected = np.zeros((3, 5), dtype=bool)
    expected[:2, 1:4] = True
    assert mask == rle_of(expected)


def test_rings_without_holes_are_united_where_they_overlap() -> None:
    square, moved = corners(0, 0, 3, 0, 3, 3, 0, 3), corners(1, 1, 4, 1, 4, 4, 1, 4)
    both = mask_of_rings([square, moved], 5, 5)
    expected = np.zeros((5, 5), dtype=bool)
    expected[:3, :3] = expected[1:4, 1:4] = True
    assert both == rle_of(expected)
    expected[1:3, 1:3] = False
    assert mask_of_rings([square, moved], 5, 5, has_holes=True) == rle_of(expected)


def test_what_leaves_the_picture_is_cut_off() -> None:
    around = mask_of_rings([corners(-9, -9, 90, -9, 90, 90, -9, 90)], 4, 6)
    assert around == rle_of(np.ones((4, 6), dtype=bool))
    beside = mask_of_rings([corners(7, 7, 9, 7, 9, 9)], 4, 6)
    assert beside == rle_of(np.zeros((4, 6), dtype=bool))


def test_rings_that_no_picture_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"beyond 1e\+06"):
        mask_of_rings([corners(0, 0, 1e300, 0, 1, 1)], 4, 6)
    monkeypatch.setattr(filled_rings, "_MAX_CROSSINGS", 7)
    with pytest.raises(ValueError, match="crosses 8 rows; at most 7"):
        mask_of_rings([corners(0, 0, 3, 0, 3, 4, 0, 4)], 4, 6)


def test_simplified_ring_stays_within_its_tolerance() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack((50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)), axis=1)
    sizes = []
    for tolerance in (0.1, 1, 5):
        kept = simplified_ring(circle, tolerance)
        sizes.append(len(kept))
        start, end = kept, np.roll(kept, -1, axis=0)
        along = end - start
        share = ((circle[:, None] - start) * along).sum(2) / (along**2).sum(1)
        near = start + np.clip(share, 0, 1)[..., None] * along
        assert np.linalg.norm(circle[:, None] - near, axis=2).min(1).max() <= tolerance
    assert 200 > sizes[0] > sizes[1] > sizes[2] >= 3


def test_ring_that_would_fall_together_stays() -> None:
    sliver = corners(0, 0, 9, 0, 9, 1, 5, 1, 0, 1)
    np.testing.assert_array_equal(simplified_ring(sliver, 50), sliver)
    np.testing.assert_array_equal(simplified_ring(sliver, 0), sliver)


def test_ring_that_winds_costs_no_square_of_its_corners() -> None:
    comb = np.array([(x, (x % 2) * 1000.0 + x) for x in range(3000)])
    assert len(simplified_ring(comb, 0.01)) > 2900


@pytest.mark.parametrize(("tolerance", "most"), [(0.0, 0.0), (1.0, 0.012), (3.0, 0.031)])
def test_loss_of_a_tolerance_is_as_the_documentation_says(tolerance: float, most: float) -> None:
    y, x = np.mgrid[:100, :100]
    disc = (y - 50) ** 2 + (x - 50) ** 2 <= 1600
    mask = mask_of_rings([joined_ring(rle_of(disc), tolerance)], 100, 100)
    lost_or_won = coco_mask.decode(mask).astype(bool) ^ disc
    assert lost_or_won.sum() <= most * disc.sum()


@pytest.mark.parametrize("name", sorted(MASKS))
def test_png_has_the_mask(name: str) -> None:
    mask = rle_of(MASKS[name])
    assert read_mask_png(mask_png(mask), *mask["size"]) == mask


def test_png_of_another_kind_is_refused() -> None:
    mask = rle_of(MASKS["disc"])
    height, width = mask["size"]
    for data, why in (
        (b"no", "no PNG"),
        (mask_png(mask)[:60], "cannot be read"),
        (mask_png(rle_of(MASKS["disc"][:5])), "31×5, not 31×23"),
    ):
        with pytest.raises(ValueError, match=why):
            read_mask_png(data, height, width)
