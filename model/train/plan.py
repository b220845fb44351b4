"""From the arguments to a configuration and a recipe; what differs from a recipe is recorded."""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.adelaidet.config_files import read_config
from model.categories import Categories
from model.config import ModelConfig
from model.datasets.sources import find_source
from model.presets import PRESETS, preset
from model.train.arguments import RECORDED
from model.train.recipes.adelaidet_recipe import read_recipe
from model.train.recipes.augmentation import augmentation, given
from model.train.recipes.recipe import RECIPES, OptimizerConfig, Recipe
from model.train.recipes.small import SMALL, SMALL_2, small_2_model, small_model, small_recipe

logger = logging.getLogger(__name__)

_ADAMW_RATE = 5e-4
_EVALUATIONS = 10
_LEAST_BETWEEN_EVALUATIONS = 100  # steps; shorter runs are evaluated at the end


def choose_config(args: argparse.Namespace, of_weights: ModelConfig | None) -> ModelConfig:
    """Return the configuration asked for, with the input size asked for.

    Args:
        of_weights: the starting point's own, taken if no other is named.

    Raises:
        ValueError: there is no such configuration.
    """
    if args.config is None:
        assert of_weights is not None
        config = of_weights
    elif args.config == SMALL:
        config = small_model()
    elif args.config == SMALL_2:
        config = small_2_model()
    elif _is_file(args.config):
        config = read_config(Path(args.config), for_training=True)
    else:
        config = preset(args.config)
    return with_input_size(config, args)


def with_input_size(config: ModelConfig, args: argparse.Namespace) -> ModelConfig:
    """Return the configuration with the sides asked for; the longer follows the shorter."""
    size = config.input
    short_side = args.short_side or size.short_side
    factor = short_side / size.short_side if size.short_side else 1
    max_side = args.max_side or max(1, round(size.max_side * factor))
    return replace(config, input=replace(size, short_side=short_side, max_side=max_side))


def without_unlearnt_stuff(config: ModelConfig, data: Sequence[str]) -> ModelConfig:
    """Return the configuration for instances alone where no data set has panoptic truth.

    For networks that came with the weights: whoever has instances only starts from them too.

    Raises:
        ValueError: a data set is not there.
    """
    if config.semantic is None or any(find_source(given).panoptic for given in data):
        return config
    logger.warning(
        "the data have no panoptic truth: the weights' semantic head is left out, "
        "and %s is trained for instances",
        config.name,
    )
    return replace(config, semantic=None)


def with_classes(config: ModelConfig, categories: Categories) -> ModelConfig:
    """Return the configuration with the data's numbers of classes, said in the log if others.

    Raises:
        ValueError: the network is panoptic and the data have no stuff.
    """
    num_things, num_stuff = len(categories.things), len(categories.stuff)
    if config.semantic is not None and num_stuff == 0:
        raise ValueError(
            f"{config.name} is a panoptic network and the data have no panoptic truth; "
            "give data with a panoptic JSON file and its PNGs, or another --config"
        )
    basis, semantic = config.basis, config.semantic
    if basis.auxiliary_classes is not None:
        basis = replace(basis, auxiliary_classes=num_things)
    if semantic is not None:
        semantic = replace(semantic, num_classes=num_stuff + 1)
    adapted = replace(
        config, fcos=replace(config.fcos, num_classes=num_things), basis=basis, semantic=semantic
    )
    if adapted != config:
        what = f"{num_things} classes" + (f" and {num_stuff} kinds of stuff" if semantic else "")
        logger.info("the data have %s; %s is built for them", what, config.name)
    return adapted


def choose_recipe(args: argparse.Namespace, config: ModelConfig) -> Recipe:
    """Return the configuration's recipe with all that was asked for but its length."""
    recipe, usual_side = _recipe_of(args, config)
    batch_size = args.batch_size or recipe.batch_size
    accumulate = args.accumulate or recipe.accumulate
    optimizer = recipe.optimizer
    if args.optimizer == "adamw" and optimizer.kind != "adamw":
        optimizer = replace(optimizer, kind="adamw", learning_rate=_ADAMW_RATE, weight_decay=0.05)
    rate = optimizer.learning_rate if args.lr is None else args.lr
    if args.scale_lr:
        rate *= batch_size * accumulate / recipe.batch_size
        logger.info(
            "learning rate %g: the recipe's %g × batch of %d / %d",
            *(rate, optimizer.learning_rate, batch_size * accumulate, recipe.batch_size),
        )
    clip_norm = optimizer.clip_norm if args.clip_norm is None else args.clip_norm or None
    return replace(
        recipe,
        augment=augmentation(args, recipe.augment, config.input.short_side, usual_side),
        loss=replace(
            recipe.loss,
            sizes_of_interest=_sizes_of_interest(recipe, config),
            own_boxes=given(args.own_boxes, recipe.loss.own_boxes),
        ),
        optimizer=replace(optimizer, learning_rate=rate, clip_norm=clip_norm),
        batch_size=batch_size,
        accumulate=accumulate,
        keep_empty=given(args.keep_empty, recipe.keep_empty),
        freeze_at=given(args.freeze_at, recipe.freeze_at),
        frozen_parts=tuple(dict.fromkeys(args.freeze)) if args.freeze else recipe.frozen_parts,
        precision=args.precision or recipe.precision,
        ema_decay=recipe.ema_decay if args.ema is None else args.ema or None,
        checkpoint_every=given(args.checkpoint_every, recipe.checkpoint_every),
        seed=given(args.seed, recipe.seed),
    )


def with_length(recipe: Recipe, args: argparse.Namespace, num_pictures: int) -> Recipe:
    """Return the recipe with the number of steps asked for; its schedule moves along.

    The drops stay at the same share of the run; the warm-up is a tenth of it at most. It is
    evaluated as often as is asked for, else as the recipe has it if that is more than once.
    """
    iterations = args.iterations or recipe.iterations
    if args.epochs is not None:
        per_step = recipe.num_pictures
        iterations = max(1, math.ceil(args.epochs * num_pictures / per_step))
    optimizer: OptimizerConfig = recipe.optimizer
    if iterations != recipe.iterations:
        optimizer = replace(
            optimizer,
            steps=tuple(round(s * iterations / recipe.iterations) for s in optimizer.steps),
            warmup_iterations=min(optimizer.warmup_iterations, max(1, iterations // 10)),
        )
    optimizer = replace(
        optimizer,
        steps=given(args.steps, optimizer.steps),
        warmup_iterations=given(args.warmup, optimizer.warmup_iterations),
    )
    every = given(args.evaluate_every, recipe.evaluate_every)
    if args.evaluate_every is None and not 0 < 2 * every <= iterations:
        every = max(_LEAST_BETWEEN_EVALUATIONS, math.ceil(iterations / _EVALUATIONS))
    return replace(recipe, iterations=iterations, optimizer=optimizer, evaluate_every=every)


def from_nothing(args: argparse.Namespace, recipe: Recipe, *, is_resumed: bool = False) -> Recipe:
    """Return the recipe for random starting values: nothing worth freezing is there.

    It is said in the log where the run begins, not where it is resumed.
    """
    level = logging.DEBUG if is_resumed else logging.WARNING
    logger.log(level, "everything starts at random; --backbone-weights would help a lot")
    if args.freeze_at is None and recipe.freeze_at > 0:
        logger.log(level, "so nothing is frozen: freeze_at is 0 instead of %d", recipe.freeze_at)
        return replace(recipe, freeze_at=0)
    return recipe


def overrides_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the recorded options that were given, as texts."""
    given = {name: getattr(args, name) for name in RECORDED}
    return {name: json.dumps(value) for name, value in given.items() if value is not None}


def _is_file(config: str) -> bool:
    return config not in PRESETS and Path(config).suffix in (".yaml", ".yml")


def _recipe_of(args: argparse.Namespace, config: ModelConfig) -> tuple[Recipe, int]:
    """Return a YAML file's recipe, the configuration's, or the nearest network's.

    Its training sizes are for the short side returned with it.
    """
    if args.config is not None and _is_file(args.config):
        return read_recipe(Path(args.config))
    known = {**PRESETS, SMALL: small_model(), SMALL_2: small_2_model()}
    name = config.name
    if name not in known:
        members = set(_leaves(config.to_dict()))
        name = max(known, key=lambda n: len(members & set(_leaves(known[n].to_dict()))))
        logger.warning("%s has no recipe of its own; it is trained as %s", config.name, name)
    short_side = known[name].input.short_side
    recipe = RECIPES[name] if name in RECIPES else small_recipe(short_side=short_side)
    return recipe, short_side


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def _sizes_of_interest(recipe: Recipe, config: ModelConfig) -> tuple[int, ...]:
    """Return the recipe's limits between the levels, or the usual ones for another number."""
    num_limits = len(config.strides) - 1
    sizes = recipe.loss.sizes_of_interest
    return sizes if len(sizes) == num_limits else (64, 128, 256, 512)[:num_limits]
