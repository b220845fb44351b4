"""The recipe that an AdelaiDet configuration file describes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.adelaidet.config_files import read_settings
from model.adelaidet.options import defaults
from model.adelaidet.training_options import not_followed, training_options
from model.train.recipes.recipe import AugmentConfig, LossConfig, OptimizerConfig, Recipe

logger = logging.getLogger(__name__)


def read_recipe(path: Path) -> tuple[Recipe, int]:
    """Return the recipe in a YAML file, and the short side of the input that its sizes are for.

    What the file and its bases do not set is as in R_50_1x. The main numbers are said in the
    log, and every option that cannot be followed.

    Raises:
        ValueError: the file cannot be read, or an option has a value that will not do.
    """
    settings = read_settings(path)
    try:
        recipe = to_recipe(training_options(settings))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for key, (value, instead) in not_followed(settings).items():
        logger.warning("%s is %r in %s; training does as with %r", key, value, path.name, instead)
    _say(recipe, path.name)
    return recipe, settings.get("INPUT.MIN_SIZE_TEST", defaults()["INPUT.MIN_SIZE_TEST"])


def to_recipe(options: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a complete set of options of training describes."""
    has_crop = options["INPUT.CROP.ENABLED"]
    return Recipe(
        augment=AugmentConfig(
            short_sides=tuple(options["INPUT.MIN_SIZE_TRAIN"]),
            sampling=options["INPUT.MIN_SIZE_TRAIN_SAMPLING"],
            max_side=options["INPUT.MAX_SIZE_TRAIN"],
            flip_probability=0.5 if options["INPUT.HFLIP_TRAIN"] else 0.0,
            crop=has_crop,
            crop_fraction=options["INPUT.CROP.SIZE"][0] if has_crop else 0.9,
        ),
        loss=LossConfig(
            sizes_of_interest=tuple(options["MODEL.FCOS.SIZES_OF_INTEREST"]),
            center_radius=options["MODEL.FCOS.POS_RADIUS"],
            focal_alpha=options["MODEL.FCOS.LOSS_ALPHA"],
            focal_gamma=options["MODEL.FCOS.LOSS_GAMMA"],
            box_loss=options["MODEL.FCOS.LOC_LOSS_TYPE"],
            class_normaliser=options["MODEL.FCOS.LOSS_NORMALIZER_CLS"],
            class_weight=options["MODEL.FCOS.LOSS_WEIGHT_CLS"],
            mask_weight=options["MODEL.BLENDMASK.INSTANCE_LOSS_WEIGHT"],
            basis_weight=options["MODEL.BASIS_MODULE.LOSS_WEIGHT"],
            semantic_weight=options["MODEL.SEM_SEG_HEAD.LOSS_WEIGHT"],
        ),
        optimizer=OptimizerConfig(
            learning_rate=options["SOLVER.BASE_LR"],
            momentum=options["SOLVER.MOMENTUM"],
            weight_decay=options["SOLVER.WEIGHT_DECAY"],
            norm_weight_decay=options["SOLVER.WEIGHT_DECAY_NORM"],
            warmup_iterations=options["SOLVER.WARMUP_ITERS"],
            warmup_factor=options["SOLVER.WARMUP_FACTOR"],
            steps=tuple(options["SOLVER.STEPS"]),
            gamma=options["SOLVER.GAMMA"],
            clip_norm=options["SOLVER.CLIP_GRADIENTS.CLIP_VALUE"]
            if options["SOLVER.CLIP_GRADIENTS.ENABLED"]
            else None,
        ),
        batch_size=options["SOLVER.IMS_PER_BATCH"],
        iterations=options["SOLVER.MAX_ITER"],
        keep_empty=not options["DATALOADER.FILTER_EMPTY_ANNOTATIONS"],
        freeze_at=max(0, options["MODEL.BACKBONE.FREEZE_AT"]),
        checkpoint_every=options["SOLVER.CHECKPOINT_PERIOD"],
        evaluate_every=max(0, options["TEST.EVAL_PERIOD"]),
        seed=max(0, options["SEED"]),
    )


def _say(recipe: Recipe, name: str) -> None:
    augment, optimizer = recipe.augment, recipe.optimizer
    between = " to " if augment.sampling == "range" else ", "
    logger.info(
        "the recipe is %s's: %d steps of %d pictures, learning rate %g with drops at %s, "
        "short sides of %s, long ones of %d at most",
        name,
        recipe.iterations,
        recipe.batch_size,
        optimizer.learning_rate,
        ", ".join(map(str, optimizer.steps)) or "no step",
        between.join(map(str, augment.short_sides)),
        augment.max_side,
    )
