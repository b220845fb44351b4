"""What happens to pictures of a training: a recipe's own, changed by the arguments."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from model.train.recipes.recipe import AugmentConfig


def augmentation(
    args: argparse.Namespace, recipe: AugmentConfig, short_side: int, usual_side: int
) -> AugmentConfig:
    """Return the augmentation asked for; its sizes stay in proportion to the network's input."""
    sides, max_side, sampling = recipe.short_sides, recipe.max_side, recipe.sampling
    if short_side and usual_side:
        factor = short_side / usual_side
        sides = tuple(round(side * factor) for side in sides)
        max_side = round(max_side * factor)
    if args.train_sides:
        sides, sampling = args.train_sides, "choice"
        max_side = max(max_side, *sides)
    return replace(
        recipe,
        short_sides=sides,
        sampling=sampling,
        max_side=max_side,
        flip_probability=given(args.flip, recipe.flip_probability),
        crop=given(args.crop, recipe.crop),
        colour_jitter=given(args.colour_jitter, recipe.colour_jitter),
        scale_jitter=tuple(args.scale_jitter) if args.scale_jitter else recipe.scale_jitter,
        copy_paste_probability=given(args.copy_paste, recipe.copy_paste_probability),
    )


def given(value: Any, otherwise: Any) -> Any:
    """Return an argument's value, or what applies where it was not given."""
    return otherwise if value is None else value
