"""Pixels of stuff are counted by groups of kinds."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WALL, BRICK, SKY = 199, 171, 187


@pytest.fixture
def stuff_pixels(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("stuff_pixels")


def test_pixels_that_are_known_labelled_and_right_are_counted(stuff_pixels: Any) -> None:
    counts = stuff_pixels.StuffPixels()
    truth = np.array([[BRICK, BRICK, SKY, SKY, 0]])
    found = np.array([[WALL, SKY, SKY, 0, WALL]])
    counts.add(truth, found)
    # A brick wall is a wall; a thing's pixel, the last one, is no matter here.
    assert (counts.known, counts.labelled, counts.right) == (4, 3, 2)


def test_no_kind_is_in_two_groups(stuff_pixels: Any) -> None:
    members = [member for group in stuff_pixels.GROUPS.values() for member in group]
    assert len(members) == len(set(members))
