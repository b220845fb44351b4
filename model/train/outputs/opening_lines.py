"""What a run says in the log before its first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from model.train.distributed.world import World
from model.train.recipes.recipe import Recipe
from model.train.samples.dataset import CocoDataset

logger = logging.getLogger(__name__)

_NAMED_AT_MOST = 20


def log_start(recipe: Recipe, dataset: CocoDataset, world: World) -> None:
    """Say how much there is to learn from, and how long it will be learned."""
    logger.info(
        "%d pictures, %d classes; %d steps of %d pictures in %d process(es)",
        len(dataset),
        len(dataset.categories.things),
        recipe.iterations,
        recipe.num_pictures,
        world.size,
    )
    steps, warmup = recipe.optimizer.steps, recipe.optimizer.warmup_iterations
    if steps and min(steps) >= recipe.iterations:
        logger.warning(
            "the learning rate never drops: its steps (%s) are beyond the last one, %d",
            ", ".join(map(str, steps)),
            recipe.iterations,
        )
    if warmup > recipe.iterations:
        logger.warning(
            "the learning rate never gets to %g: its warm-up of %d steps is longer than the run",
            recipe.optimizer.learning_rate,
            warmup,
        )


def log_fresh(names: Sequence[str]) -> None:
    """Say which tensors do not come from a file."""
    more = ", …" if len(names) > _NAMED_AT_MOST else ""
    named = ", ".join(names[:_NAMED_AT_MOST])
    logger.info("%d tensors start afresh: %s%s", len(names), named, more)


def log_evaluations(recipe: Recipe) -> None:
    """Say how often the weights are evaluated."""
    every = recipe.evaluate_every
    often = f"every {every} steps and " if 0 < every < recipe.iterations else ""
    logger.info("evaluated %sat the end", often)
