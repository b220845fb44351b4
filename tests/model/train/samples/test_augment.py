from __future__ import annotations

import numpy as np
import pytest

from model.train.recipes.recipe import AugmentConfig
from model.train.samples.augment import Colour, Crop, Geometry, draw_colour, draw_geometry

BOXES = np.array([[20, 10, 40, 30], [60, 70, 90, 95]], dtype=np.float64)


def geometry(**changes: object) -> Geometry:
    values = {"source": (100, 200), "crop": None, "height": 100, "width": 200, "flip": False}
    return Geometry(**{**values, **changes})  # type: ignore[arg-type]


def test_points_follow_crop_resize_and_mirror() -> None:
    g = geometry(crop=Crop(top=10, left=20, height=50, width=100), height=100, width=200, flip=True)
    assert g.points(np.array([[20.0, 10.0], [70.0, 35.0]])).tolist() == [[200, 0], [100, 50]]


def test_points_come_back() -> None:
    g = geometry(crop=Crop(top=3, left=7, height=50, width=90), height=71, width=133, flip=True)
    points = np.array([[11.5, 4.0], [80.0, 50.0]])
    np.testing.assert_allclose(g.points_back(g.points(points)), points)


def test_boxes_stay_boxes_when_mirrored_and_are_clipped() -> None:
    g = geometry(flip=True)
    assert g.boxes(np.array([[150.0, 20.0, 230.0, 120.0]])).tolist() == [[0, 20, 50, 100]]


def test_labels_are_mirrored_with_the_picture() -> None:
    labels = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    g = geometry(source=(2, 3), height=2, width=3, flip=True)
    assert g.labels(labels).tolist() == [[3, 2, 1], [6, 5, 4]]


def test_a_crop_holds_the_centre_of_a_box() -> None:
    config = AugmentConfig(crop=True, crop_fraction=0.3, short_sides=(50,))
    for seed in range(50):
        g = draw_geometry(np.random.default_rng(seed), 100, 200, BOXES, config)
        assert g.crop is not None
        assert 30 <= g.crop.height <= 100
        assert 60 <= g.crop.width <= 200
        assert g.crop.top + g.crop.height <= 100
        assert g.crop.left + g.crop.width <= 200
        centres = (BOXES[:, :2] + BOXES[:, 2:]) / 2 - (g.crop.left, g.crop.top)
        inside = (centres >= 0) & (centres <= (g.crop.width, g.crop.height))
        assert inside.all(axis=1).any()


def test_a_crop_without_boxes_holds_the_pictures_centre() -> None:
    config = AugmentConfig(crop=True, short_sides=(50,))
    g = draw_geometry(np.random.default_rng(0), 100, 200, np.empty((0, 4)), config)
    assert g.crop is not None
    assert g.crop.top <= 50 <= g.crop.top + g.crop.height


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_scale_jitter_magnifies_objects_by_its_factor(factor: float) -> None:
    config = AugmentConfig(short_sides=(100,), scale_jitter=(factor, factor), flip_probability=0)
    g = draw_geometry(np.random.default_rng(1), 100, 200, BOXES, config)
    np.testing.assert_allclose(g.scale, [factor, factor])
    assert (g.height, g.width) == (min(100, 100 * factor), min(200, 200 * factor))


def test_a_range_of_sizes_reaches_both_ends() -> None:
    config = AugmentConfig(short_sides=(10, 13), sampling="range")
    rng = np.random.default_rng(0)
    heights = {draw_geometry(rng, 100, 200, BOXES, config).height for _ in range(100)}
    assert heights == {10, 11, 12, 13}


def test_no_jitter_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert draw_colour(rng, 0.0) is None
    assert rng.bit_generator.state == state


def test_colour_factors_of_one_change_nothing() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    same = Colour(brightness=1, contrast=1, saturation=1).picture(rgb)
    np.testing.assert_array_equal(same, rgb)


def test_half_the_brightness_halves_the_values() -> None:
    rgb = np.full((2, 2, 3), 100, dtype=np.uint8)
    assert (Colour(brightness=0.5, contrast=1, saturation=1).picture(rgb) == 50).all()
