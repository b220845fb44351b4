"""A run from its arguments to its last checkpoint: everything that the loop needs, put together."""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.evaluation.nothing_found import why_no_numbers
from model.evaluation.readiness import check_ready
from model.network.blendmask import BlendMask
from model.train.distributed.world import (
    World,
    choose_device,
    joined,
    synchronise_batch_norm,
    world_of,
)
from model.train.interrupt import StopRequest, without_ctrl_c
from model.train.loop import train
from model.train.losses.criterion import Criterion
from model.train.outputs.keeper import Keeper
from model.train.outputs.open_progress import open_progress
from model.train.outputs.opening_lines import log_evaluations, log_fresh, log_start
from model.train.outputs.progress import METRICS_FILE
from model.train.outputs.run_folder import claimed, put_aside
from model.train.outputs.save_timer import SaveTimer, saver
from model.train.outputs.validation import EVALUATIONS_FILE, Validation, measure, open_validation
from model.train.plan import (
    choose_config,
    choose_recipe,
    from_nothing,
    overrides_of,
    with_classes,
    with_input_size,
    with_length,
    without_unlearnt_stuff,
)
from model.train.recipes.small import SMALL
from model.train.samples.dataset import CocoDataset, open_data
from model.train.samples.loader import build_loader
from model.train.starting_weights.backbone_file import open_backbone
from model.train.starting_weights.initialise import (
    freeze_parts,
    initialise,
    load_starting_point,
)
from model.train.state.optimizer import build_optimizer
from model.train.state.resume import load_state, steps_done
from model.train.state.training import Training
from model.zoo import open_model as zoo

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Train, or evaluate if only that is asked for; return the exit code.

    Raises:
        ValueError: the arguments, the data or the weights do not do; a loss is no number; or
            the last checkpoint cannot be written.
    """
    world = world_of()
    device = choose_device(args.device, world)
    with joined(world, device), ExitStack() as stack:
        if args.eval_only:
            return _evaluate_only(args, world, device)
        return _train(args, world, device, stack)


def _evaluate_only(args: argparse.Namespace, world: World, device: torch.device) -> int:
    """Write the report of the weights to standard output."""
    if not world.is_main:
        return 0
    name = None if args.config == SMALL else args.config
    checkpoint = zoo.open_model(args.weights, config=name)
    checkpoint = replace(checkpoint, config=with_input_size(checkpoint.config, args))
    data = open_validation(
        args.eval_data, args.data, crowds_are_objects=bool(args.crowds_are_objects)
    )
    if data is None:
        raise ValueError("there is nothing to evaluate on; give --eval-data")
    _, report = measure(checkpoint, data, device, progress=True)
    sys.stdout.write(json.dumps(report) + "\n")
    why_empty = why_no_numbers(report, data)
    if why_empty is not None:
        sys.stderr.write(f"python -m model.train: {why_empty}\n")
        return 1
    return 0


def _train(args: argparse.Namespace, world: World, device: torch.device, stack: ExitStack) -> int:
    start = zoo.open_model(args.weights) if args.weights else None
    config = choose_config(args, start.config if start else None)
    if args.config is None:
        config = without_unlearnt_stuff(config, args.data)
    backbone, config = open_backbone(args.backbone_weights, config)
    recipe = choose_recipe(args, config)
    dataset = open_data(args.data, config, recipe, crowds_are_objects=bool(args.crowds_are_objects))
    config = with_classes(config, dataset.categories)
    recipe = with_length(recipe, args, len(dataset))
    folder: Path = args.output or Path("runs") / config.name.replace("/", "_")
    if world.is_main:
        stack.enter_context(claimed(folder, resume=args.resume))
    state = load_state(folder) if args.resume else None
    if start is None and backbone is None:
        recipe = from_nothing(args, recipe, is_resumed=state is not None)
    keeper = Keeper(folder, config, dataset.categories, recipe, _story(args, dataset))

    _seed(recipe.seed)
    network = BlendMask(config)
    fresh = initialise(network, backbone=backbone, freeze_at=recipe.freeze_at)
    if start is not None:
        fresh = load_starting_point(network, start)
    freeze_parts(network, recipe.frozen_parts)
    log_start(recipe, dataset, world)
    if state is None:
        log_fresh(fresh)
    network.to(device)
    if args.channels_last:
        network.to(memory_format=torch.channels_last)
    synchronise_batch_norm(network, config, device)
    if args.compile:
        network.compile()
    training = Training(
        network=network,
        criterion=Criterion(recipe.loss, config),
        optimizer=build_optimizer(network, recipe.optimizer),
        recipe=recipe,
        device=device,
        world=world,
        skip_non_finite=args.skip_non_finite,
    )
    _seed(recipe.seed + world.rank)
    if state is not None:
        _go_on(args, keeper, training, state)
    elif args.resume:
        logger.warning("%s holds no run yet; it starts now", folder)
    return _loop(args, keeper, training, dataset)


def _loop(
    args: argparse.Namespace, keeper: Keeper, training: Training, dataset: CocoDataset
) -> int:
    """Run the loop with a progress, a loader and what happens every so often; return the code."""
    recipe, world = training.recipe, training.world
    data = open_validation(
        args.eval_data, args.data, crowds_are_objects=bool(args.crowds_are_objects)
    )
    if data is not None and world.is_main:
        with_stuff = training.network.semantic_head is not None
        check_ready(data, dataset.categories, with_stuff=with_stuff)
    with ExitStack() as stack:
        progress = open_progress(args, keeper.folder, training, stack)
        validation = None
        if data is not None:
            log_evaluations(recipe)
            validation = Validation(data, keeper, training, progress, num_drawn=args.pictures)
            validation.catch_up()
        if training.iteration >= recipe.iterations:
            return 0
        with without_ctrl_c():
            batches = build_loader(
                dataset,
                recipe,
                rank=world.rank,
                world_size=world.size,
                num_workers=args.workers,
                start_iteration=training.iteration,
            )
        stop, timer = stack.enter_context(StopRequest()), SaveTimer()
        is_done = train(
            training,
            batches,
            progress=progress,
            evaluate=validation,
            save=saver(keeper, training, stop, timer),
            stop=stop,
            is_save_due=timer.is_due,
        )
    if not is_done:
        assert stop.signal is not None or world.size > 1
        logger.warning("stopped and saved; --resume goes on from %d", training.iteration)
        return 128 + (stop.signal or 15)
    return 0


def _go_on(
    args: argparse.Namespace, keeper: Keeper, training: Training, state: Mapping[str, Any]
) -> None:
    """Bring the training to where the saved state is, and say what is left."""
    keeper.check_same_run(state)
    training.load_state(state)
    training.best = keeper.best_score()
    training.iteration = steps_done(state, training.recipe, by_pictures=args.epochs is not None)
    done, end = training.iteration, training.recipe.iterations
    if done != int(state["iteration"]) and training.world.is_main:
        rows = [keeper.folder / name for name in (METRICS_FILE, EVALUATIONS_FILE)]
        put_aside(rows, "steps are of another number of pictures now")
    if done < end:
        logger.info("the run goes on from iteration %d; %d of %d are left", done, end - done, end)
    else:
        logger.warning(
            "nothing is left to do: %d steps are done, and %d were asked for; "
            "more --iterations or --epochs go on",
            *(done, end),
        )


def _story(args: argparse.Namespace, dataset: CocoDataset) -> dict[str, str]:
    # Names only: the folders of the machine that trained are nobody's business.
    data = ", ".join(Path(str(given)).name for given in args.data)
    start = args.weights or args.backbone_weights or "none"
    name = start if start in zoo.RELEASED or "/" not in start else Path(start).name
    return {
        "data": f"{data}: {len(dataset)} pictures",
        "starting_point": name,
        "overrides": json.dumps(overrides_of(args)),
    }


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
