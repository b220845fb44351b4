"""A data set as the loader's workers see it: a key in, an augmented sample out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from model.categories import Categories
from model.config import ModelConfig
from model.datasets.coco import CocoData, read_coco
from model.datasets.records import Picture
from model.datasets.sources import Source, find_source
from model.pictures.decode import decode_image
from model.train.recipes.recipe import AugmentConfig, Recipe
from model.train.samples.augment import draw_colour, draw_geometry
from model.train.samples.batch import TrainingSample
from model.train.samples.copy_paste import paste_objects
from model.train.samples.scene import Scene, make_scene, to_sample

logger = logging.getLogger(__name__)

# So many pictures in a row that cannot be read are not an accident.
_MAX_UNREADABLE = 50


class SampleKey(NamedTuple):
    """Which picture, and in which pass over the data: together with the seed, all of its chance."""

    epoch: int
    picture: int


class CocoDataset(Dataset[TrainingSample]):
    """Augmented samples; each is a function of (seed, epoch, picture) alone.

    A picture that cannot be read is named in the log once, and the next one of its shape (wide
    or high) takes its place.

    categories: the classes, ids and names. is_wide: (P,) bool.
    """

    def __init__(
        self, data: CocoData, model_config: ModelConfig, augment: AugmentConfig, seed: int
    ) -> None:
        self.categories = data.categories
        self.is_wide = data.is_wide
        self._pictures = data.pictures
        self._labelled = data.labelled
        self._mask_size = model_config.blender.mask_size
        self._channels = model_config.input.channels
        self._semantic = model_config.is_panoptic
        self._augment = augment
        self._seed = seed
        self._is_unreadable = torch.zeros(len(data.pictures), dtype=torch.uint8)
        self._is_unreadable.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, key: SampleKey | int) -> TrainingSample:
        """Return a sample; a plain index is one of the first pass."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        attempts = min(_MAX_UNREADABLE, len(self))
        for _ in range(attempts):
            sample = self._sample(epoch, index)
            if sample is not None:
                return sample
            index = self._next_alike(index)
        raise ValueError(
            f"{attempts} pictures in a row cannot be read, {self.picture(index).file} among them; "
            "check-data tells more"
        )

    def picture(self, index: int) -> Picture:
        """Return what the data set says about a picture."""
        return self._pictures[index]

    def _sample(self, epoch: int, index: int) -> TrainingSample | None:
        random = np.random.default_rng((self._seed, epoch, index))
        picture = self.picture(index)
        labelled = self._labelled[picture.source]
        scene = self._scene(random, index, picture)
        if scene is None:
            return None
        chance = self._augment.copy_paste_probability
        if chance > 0 and random.random() < chance:
            other_index = int(random.integers(0, len(self)))
            other_picture = self.picture(other_index)
            if (self._labelled[other_picture.source] == labelled).all():
                other = self._scene(random, other_index, other_picture)
                scene = scene if other is None else paste_objects(random, scene, other)
        return to_sample(
            scene,
            colour=draw_colour(random, self._augment.colour_jitter),
            channels=self._channels,
            labelled=labelled,
            image_id=picture.image_id,
        )

    def _scene(self, random: np.random.Generator, index: int, picture: Picture) -> Scene | None:
        geometry = draw_geometry(
            random, picture.height, picture.width, picture.boxes_xyxy, self._augment
        )
        try:
            rgb = decode_image(Path(picture.file).read_bytes())
            if rgb.shape[:2] != (picture.height, picture.width):
                raise ValueError(
                    f"it is {rgb.shape[1]}×{rgb.shape[0]}, not {picture.width}×{picture.height}"
                )
            return make_scene(
                picture,
                rgb,
                geometry,
                mask_size=self._mask_size,
                labelled=self._labelled[picture.source],
                semantic=self._semantic,
            )
        except (OSError, ValueError) as error:
            if not self._is_unreadable[index]:
                self._is_unreadable[index] = 1
                logger.warning(
                    "left out a picture that cannot be read: %s: %s", picture.file, error
                )
            return None

    def _next_alike(self, index: int) -> int:
        order = np.roll(self.is_wide, -index - 1)
        return int((index + 1 + np.argmax(order == self.is_wide[index])) % len(self))


def open_data(
    given: Sequence[str | Path | Source],
    model_config: ModelConfig,
    recipe: Recipe,
    *,
    categories: Categories | None = None,
    crowds_are_objects: bool = False,
) -> CocoDataset:
    """Read data sets for training.

    Args:
        given: folders or annotation files (`find_source` says which), or sources.
        model_config: for the mask size, the order of channels, and whether stuff is learnt;
            its numbers of classes are not looked at.
        categories: the classes wanted; None takes those of the files, by id.
        crowds_are_objects: of data sets that are given as paths.

    Raises:
        ValueError: the data cannot be trained on; the message says why.
    """
    sources = [
        g
        if isinstance(g, Source)
        else replace(find_source(g), crowds_are_objects=crowds_are_objects)
        for g in given
    ]
    if not sources:
        raise ValueError("no data set is given")
    for source in sources:
        if model_config.is_panoptic and source.panoptic is None:
            logger.warning("no panoptic truth beside %s: it trains no stuff", source.annotations)
    data = read_coco(
        sources,
        categories=categories,
        semantic=model_config.is_panoptic,
        keep_empty=recipe.keep_empty,
    )
    if model_config.is_panoptic and not data.categories.stuff:
        raise ValueError(
            f"{model_config.name} learns stuff, and the data has none: a panoptic JSON file and "
            "its folder of PNGs belong beside the annotation file"
        )
    return CocoDataset(data, model_config, recipe.augment, recipe.seed)
