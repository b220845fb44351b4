from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import InputConfig
from model.prediction.preprocess import prepare, resize

PLAIN = InputConfig(short_side=0, pixel_mean=(1.0, 2.0, 3.0), pixel_std=(1.0, 2.0, 4.0))


def red(height: int, width: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[..., 0] = 255
    return picture


def test_channels_are_reversed_and_normalised_in_their_own_order() -> None:
    batch = prepare([red(32, 32)], PLAIN, "cpu")
    assert batch.pixels.shape == (1, 3, 32, 32)
    assert batch.pixels[0, :, 0, 0].tolist() == [-1.0, -1.0, (255 - 3) / 4]


def test_rgb_configuration_keeps_the_order() -> None:
    config = InputConfig(short_side=0, channels="rgb", pixel_mean=(0.0, 0.0, 0.0))
    batch = prepare([red(32, 32)], config, "cpu")
    assert batch.pixels[0, :, 0, 0].tolist() == [255.0, 0.0, 0.0]


def test_padding_is_zero_after_normalisation() -> None:
    batch = prepare([red(30, 40)], PLAIN, "cpu")
    assert batch.pixels.shape == (1, 3, 32, 64)
    assert torch.count_nonzero(batch.pixels[:, :, 30:]) == 0
    assert torch.count_nonzero(batch.pixels[:, :, :, 40:]) == 0
    assert batch.resized_sizes == [(30, 40)]
    assert batch.output_sizes == [(30, 40)]


def test_resizing_keeps_a_uniform_picture_uniform() -> None:
    resized = resize(red(10, 20), InputConfig(short_side=32, max_side=1333))
    assert resized.shape == (32, 64, 3)
    assert (resized == red(32, 64)).all()


def test_pictures_of_different_canvases_are_refused() -> None:
    with pytest.raises(ValueError, match="pictures of one canvas"):
        prepare([red(32, 32), red(32, 65)], PLAIN, "cpu")


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((0, 4, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 array of shape \(height, width, 3\)"):
        prepare([picture], PLAIN, "cpu")
