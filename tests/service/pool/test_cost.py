from __future__ import annotations

import pytest

from service.pool.cost import CostModel


def test_a_line_is_found_exactly() -> None:
    cost = CostModel()
    for pixels in (100_000, 300_000, 200_000, 900_000):
        cost.observe(pixels, 2e-6 * pixels + 0.25)
    assert cost.seconds(1, 0) == pytest.approx(2e-6)
    assert cost.seconds(0, 1) == pytest.approx(0.25)
    assert cost.seconds(500_000) == pytest.approx(1.25)


def test_batches_of_one_size_are_proportional() -> None:
    cost = CostModel()
    for _ in range(3):
        cost.observe(100_000, 0.5)
    assert cost.seconds(200_000) == pytest.approx(1.0)


def test_nothing_is_ever_negative() -> None:
    cost = CostModel()
    cost.observe(100_000, 1.0)
    cost.observe(400_000, 0.2)
    assert cost.seconds(1, 0) >= 0
    assert cost.seconds(0, 1) >= 0
    cost = CostModel()
    cost.observe(100_000, 0.01)
    cost.observe(400_000, 1.0)
    assert cost.seconds(0, 1) == 0
    assert cost.seconds(1, 0) > 0


def test_a_change_of_speed_is_followed() -> None:
    cost = CostModel()
    for _ in range(200):
        cost.observe(100_000, 0.1)
    for _ in range(100):
        cost.observe(100_000, 1.0)
    assert cost.seconds(100_000) == pytest.approx(1.0, rel=0.01)


def test_a_batch_without_pixels_teaches_nothing() -> None:
    cost = CostModel()
    before = cost.seconds(1000)
    cost.observe(0, 5.0)
    assert cost.seconds(1000) == before
