"""From upright pictures to the network's input: resize, normalise, pad (spec, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.config import InputConfig
from model.geometry import canvas_size, resized_size
from model.structures import ImageBatch

# What the built-in `map` does; that of a thread pool does it in parallel.
PictureMap = Callable[
    [Callable[[np.ndarray], np.ndarray], Iterable[np.ndarray]], Iterable[np.ndarray]
]


def resize(image: np.ndarray, config: InputConfig) -> np.ndarray:
    """Return the picture at the size the network sees, uint8 (h, w, 3) RGB.

    Pillow's bilinear filter on 8-bit values, antialiased when it shrinks: what the released
    networks were trained and measured with.
    """
    height, width = image.shape[:2]
    new_height, new_width = resized_size(height, width, config)
    if (new_height, new_width) == (height, width):
        return image
    resized = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def prepare(
    images: Sequence[np.ndarray],
    config: InputConfig,
    device: torch.device | str,
    *,
    picture_map: PictureMap = map,
) -> ImageBatch:
    """Put pictures that share a canvas into one batch on the device.

    Args:
        images: upright RGB uint8 (H, W, 3) arrays.
        picture_map: resizes them all; in the order given.

    Raises:
        ValueError: the pictures don't share a canvas, or one is not such an array.
    """
    for image in images:
        check_picture(image)
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    canvases = {canvas_size(*size, config) for size in sizes}
    if len(canvases) != 1:
        raise ValueError(f"a batch needs pictures of one canvas; these have {sorted(canvases)}")
    (height, width), *_ = canvases
    pixels = torch.zeros(len(images), 3, height, width, device=device)
    resized_sizes = []
    resized = picture_map(partial(resize, config=config), images)
    for slot, small in zip(pixels, resized, strict=True):
        resized_sizes.append((small.shape[0], small.shape[1]))
        slot[:, : small.shape[0], : small.shape[1]] = _normalise(small, config, device)
    return ImageBatch(pixels=pixels, resized_sizes=resized_sizes, output_sizes=sizes)


def check_picture(image: np.ndarray) -> None:
    """Raise ValueError unless this is an RGB uint8 (H, W, 3) array with pixels in it."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"a picture must be a uint8 array of shape (height, width, 3), not {image.dtype} "
            f"of shape {image.shape}"
        )


def _normalise(image: np.ndarray, config: InputConfig, device: torch.device | str) -> Tensor:
    """uint8 RGB (h, w, 3) -> float (3, h, w) in the network's channel order."""
    values = torch.from_numpy(np.require(image, requirements=["C", "W"])).to(device)
    values = values.permute(2, 0, 1).to(torch.float32)
    if config.channels == "bgr":
        values = values.flip(0)
    mean = torch.tensor(config.pixel_mean, device=device)[:, None, None]
    std = torch.tensor(config.pixel_std, device=device)[:, None, None]
    return (values - mean) / std
