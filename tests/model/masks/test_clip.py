from __future__ import annotations

import numpy as np
import pytest

from model.masks.clip import clip_polygon, signed_area


def polygon(*corners: tuple[float, float]) -> np.ndarray:
    return np.array(corners, dtype=np.float64)


def areas(pieces: list[np.ndarray]) -> list[float]:
    return sorted(abs(signed_area(piece)) for piece in pieces)


def test_a_polygon_inside_is_returned_as_it_is() -> None:
    triangle = polygon((1, 1), (3, 1), (2, 3))
    (piece,) = clip_polygon(triangle, 0, 0, 4, 4)
    np.testing.assert_array_equal(piece, triangle)


def test_a_polygon_outside_leaves_nothing() -> None:
    assert clip_polygon(polygon((5, 5), (7, 5), (6, 7)), 0, 0, 4, 4) == []


def test_a_polygon_that_only_touches_leaves_nothing() -> None:
    assert clip_polygon(polygon((4, 0), (6, 2), (4, 4)), 0, 0, 4, 4) == []


def test_a_square_over_a_corner_keeps_the_common_square() -> None:
    (piece,) = clip_polygon(polygon((2, 2), (6, 2), (6, 6), (2, 6)), 0, 0, 4, 4)
    assert sorted(map(tuple, piece.tolist())) == [(2, 2), (2, 4), (4, 2), (4, 4)]


def test_the_rectangle_inside_a_polygon_is_what_is_left() -> None:
    (piece,) = clip_polygon(polygon((-9, -9), (9, -9), (9, 9), (-9, 9)), 0, 0, 4, 3)
    assert areas([piece]) == [12]


def test_a_comb_falls_apart_into_its_teeth() -> None:
    comb = polygon((0, 6), (0, 2), (1, 2), (1, 5), (3, 5), (3, 2), (4, 2), (4, 6))
    assert areas(clip_polygon(comb, 0, 0, 4, 4)) == [2, 2]


def test_an_arm_around_the_rectangle_leaves_no_seam_at_its_corners() -> None:
    # A C around the rectangle (0, 0, 10, 10), with one finger that reaches in from the left.
    outline = polygon(
        (-4, -4), (14, -4), (14, 14), (-4, 14), (-4, 7), (-2, 7), (-2, 12), (12, 12), (12, -2),
        (-2, -2), (-2, 4), (3, 4), (3, 5), (-4, 5),
    )  # fmt: skip
    (piece,) = clip_polygon(outline, 0, 0, 10, 10)
    assert piece.min(axis=0).tolist() == [0, 4]
    assert piece.max(axis=0).tolist() == [3, 5]


def test_direction_of_the_corners_does_not_matter() -> None:
    star = polygon((5, -3), (7, 4), (14, 5), (7, 7), (5, 13), (3, 6), (-4, 5), (3, 3))
    assert areas(clip_polygon(star, 0, 0, 10, 10)) == pytest.approx(
        areas(clip_polygon(star[::-1], 0, 0, 10, 10))
    )


def test_pieces_and_rest_have_the_area_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(rng.random(9)) * 2 * np.pi
        radii = 2 + 8 * rng.random(9)
        star = np.stack((radii * np.cos(angles), radii * np.sin(angles)), axis=1)
        quarters = ((-20, -20, 0, 0), (0, -20, 20, 0), (-20, 0, 0, 20), (0, 0, 20, 20))
        cut = sum(sum(areas(clip_polygon(star, *quarter))) for quarter in quarters)
        assert cut == pytest.approx(abs(signed_area(star)))
