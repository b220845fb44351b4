"""What happens to a picture on the way into a batch: drawn once, written down, then applied.

The draws of the released recipes come in the original's order (spec, section 9.6): crop size,
crop place, short side, flip.
"""
# H and W of the picture as it is, h and w of the augmented one

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Protocol

import numpy as np
from PIL import Image, ImageEnhance

from model.config import InputConfig
from model.geometry import resized_size
from model.masks.clip import clip_polygon
from model.masks.rasterise import Polygons
from model.train.recipes.recipe import AugmentConfig


class Random(Protocol):
    """The source of chance: `numpy.random.Generator`, as far as it is used here."""

    def random(self) -> float:
        """Return a number from 0 to below 1."""

    def integers(self, low: int, high: int) -> int:
        """Return a whole number from `low` to below `high`."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """The part of a picture that is kept, in its whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Crop, then resize to (height, width), then mirror.

    source: (H, W) of the picture that it was drawn for.
    """

    source: tuple[int, int]
    crop: Crop | None
    height: int
    width: int
    flip: bool

    @property
    def window(self) -> Crop:
        """The part of the picture that is seen."""
        return self.crop or Crop(top=0, left=0, height=self.source[0], width=self.source[1])

    @property
    def scale(self) -> np.ndarray:
        """Augmented pixels for a pixel of the picture: (2,) float64, x and y."""
        window = self.window
        return np.array([self.width / window.width, self.height / window.height])

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """Return the augmented picture, uint8 (h, w, 3), resized as for prediction."""
        return self._raster(rgb, Image.Resampling.BILINEAR)

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Return the augmented map of a (H, W) uint8 or int32 map, by the nearest pixel."""
        return self._raster(labels, Image.Resampling.NEAREST)

    def _raster(self, values: np.ndarray, filter_: Image.Resampling) -> np.ndarray:
        c = self.window
        seen = values[c.top : c.top + c.height, c.left : c.left + c.width]
        if seen.shape[:2] != (self.height, self.width):
            image = Image.fromarray(np.ascontiguousarray(seen))
            seen = np.asarray(image.resize((self.width, self.height), filter_))
        return seen[:, ::-1] if self.flip else seen

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return (n, 2) points of the picture where they are in the augmented one."""
        window = self.window
        moved = (points - (window.left, window.top)) * self.scale
        if self.flip:
            moved[:, 0] = self.width - moved[:, 0]
        return np.asarray(moved)

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """Return (n, 2) points of the augmented picture where they are in the picture."""
        window = self.window
        moved = points.astype(np.float64)
        if self.flip:
            moved[:, 0] = self.width - moved[:, 0]
        return np.asarray(moved / self.scale + (window.left, window.top))

    def boxes(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Return (A, 4) boxes in the augmented picture, clipped to it; some may be empty."""
        corners = self.points(boxes_xyxy.reshape(-1, 2)).reshape(-1, 2, 2)
        low, high = corners.min(axis=1), corners.max(axis=1)
        limits = (self.width, self.height)
        return np.concatenate((np.clip(low, 0, limits), np.clip(high, 0, limits)), axis=1)

    def polygons(self, polygons: Polygons) -> Polygons:
        """Return what a crop leaves of the polygons, in the augmented picture."""
        if self.crop is not None:
            c = self.crop
            sides = (float(c.left), float(c.top), float(c.left + c.width), float(c.top + c.height))
            polygons = [piece for p in polygons for piece in clip_polygon(p, *sides)]
        return [self.points(polygon) for polygon in polygons]


def draw_geometry(
    random: Random, height: int, width: int, boxes_xyxy: np.ndarray, config: AugmentConfig
) -> Geometry:
    """Draw how a picture is cropped, resized and mirrored.

    Args:
        boxes_xyxy: (A, 4) of all annotations, crowds too: a crop holds the centre of one.
    """
    crop = None
    if config.crop:
        share = 1 - config.crop_fraction
        tall = config.crop_fraction + random.random() * share
        wide = config.crop_fraction + random.random() * share
        whole = Crop(top=0, left=0, height=height, width=width)
        size = (int(height * tall + 0.5), int(width * wide + 0.5))
        crop = _crop_around_something(random, whole, size, boxes_xyxy)
    seen = (crop.height, crop.width) if crop else (height, width)
    size = resized_size(*seen, _input(random, config))
    geometry = Geometry(
        source=(height, width), crop=crop, height=size[0], width=size[1], flip=False
    )
    if config.scale_jitter is not None:
        low, high = config.scale_jitter
        geometry = _zoom(random, geometry, low + random.random() * (high - low), boxes_xyxy)
    return replace(geometry, flip=random.random() < config.flip_probability)


def _input(random: Random, config: AugmentConfig) -> InputConfig:
    sides = config.short_sides
    if config.sampling == "range":
        short_side = int(random.integers(sides[0], sides[-1] + 1))
    else:
        short_side = sides[int(random.integers(0, len(sides)))]
    return InputConfig(short_side=short_side, max_side=config.max_side)


def _crop_around_something(
    random: Random, frame: Crop, size: tuple[int, int], boxes_xyxy: np.ndarray
) -> Crop:
    """Return a crop of that (height, width) in the frame, with the centre of a drawn box in it."""
    low, high = (frame.left, frame.top), (frame.left + frame.width, frame.top + frame.height)
    boxes = np.clip(boxes_xyxy.reshape(-1, 2, 2), low, high) - low
    if len(boxes):
        x, y = boxes[int(random.integers(0, len(boxes)))].mean(axis=0)
    else:
        x, y = frame.width / 2, frame.height / 2
    height, width = size
    top = random.integers(*_start_range(float(y), height, frame.height))
    left = random.integers(*_start_range(float(x), width, frame.width))
    return Crop(top=frame.top + int(top), left=frame.left + int(left), height=height, width=width)


def _start_range(centre: float, crop: int, whole: int) -> tuple[int, int]:
    """Return where a crop may start along one side, as a half-open range."""
    first = max(floor(centre) - crop, 0)
    last = min(max(whole - crop, 0), ceil(centre))
    return min(first, last), last + 1


def _zoom(random: Random, geometry: Geometry, factor: float, boxes_xyxy: np.ndarray) -> Geometry:
    """Return the geometry at another scale: a part of it at the same size, or all of it smaller."""
    if factor <= 1:
        height, width = int(geometry.height * factor + 0.5), int(geometry.width * factor + 0.5)
        return replace(geometry, height=max(1, height), width=max(1, width))
    window = geometry.window
    size = (max(1, int(window.height / factor + 0.5)), max(1, int(window.width / factor + 0.5)))
    return replace(geometry, crop=_crop_around_something(random, window, size, boxes_xyxy))


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Factors of brightness, contrast and saturation; 1 leaves the picture as it is."""

    brightness: float
    contrast: float
    saturation: float

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """Return the picture with its colours changed, uint8 (h, w, 3)."""
        image = Image.fromarray(np.ascontiguousarray(rgb))
        image = ImageEnhance.Brightness(image).enhance(self.brightness)
        image = ImageEnhance.Contrast(image).enhance(self.contrast)
        return np.asarray(ImageEnhance.Color(image).enhance(self.saturation))


def draw_colour(random: Random, amount: float) -> Colour | None:
    """Draw factors from 1 - amount to 1 + amount; None where the amount is 0."""
    if amount == 0:
        return None
    brightness, contrast, saturation = (1 + amount * (2 * random.random() - 1) for _ in range(3))
    return Colour(brightness=brightness, contrast=contrast, saturation=saturation)
