from __future__ import annotations

import numpy as np
import pytest
from masks_of_pictures import MASKS, rle_of

from model.masks.joined_ring import joined_ring


def filled(ring: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels whose centres lie in a ring by the even-odd rule."""
    x, y = ring.T
    inside = np.zeros((height, width), dtype=bool)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        rows = np.arange(height) + 0.5
        crosses = (rows > min(y0, y1)) & (rows < max(y0, y1))
        if y0 == y1 or not crosses.any():
            continue
        at = x0 + (rows[crosses] - y0) * (x1 - x0) / (y1 - y0)
        inside[crosses] ^= np.arange(width) + 0.5 > at[:, None]
    return inside


@pytest.mark.parametrize("name", sorted(MASKS))
def test_joined_ring_encloses_the_mask_and_nothing_else(name: str) -> None:
    mask = MASKS[name]
    ring = joined_ring(rle_of(mask))
    np.testing.assert_array_equal(filled(ring, *mask.shape), mask)
    x, y = ring.T.astype(float)
    assert (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 == mask.sum()


def test_mask_without_pixels_has_no_ring() -> None:
    assert joined_ring(rle_of(np.zeros((3, 4), dtype=bool))).shape == (0, 2)
