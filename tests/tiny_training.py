"""A network, batches and a training so small that a step takes a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from model.categories import Categories
from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.train.distributed.world import World, synchronise_batch_norm
from model.train.interrupt import StopRequest
from model.train.loop import train
from model.train.losses.criterion import Criterion
from model.train.outputs.keeper import Keeper
from model.train.outputs.progress import Progress
from model.train.recipes.recipe import LossConfig, OptimizerConfig, Recipe
from model.train.recipes.small import small_model
from model.train.samples.batch import TrainingBatch
from model.train.starting_weights.initialise import initialise
from model.train.state.optimizer import build_optimizer
from model.train.state.training import Losses, Training

NUM_CLASSES = 3
SIDE = 64
CPU = torch.device("cpu")
CATEGORIES = Categories.numbered(NUM_CLASSES)


def tiny_config() -> ModelConfig:
    config = small_model(short_side=SIDE, channels=32)
    return replace(
        config,
        fcos=replace(config.fcos, num_classes=NUM_CLASSES, num_share_convs=1),
        basis=replace(config.basis, auxiliary_classes=NUM_CLASSES, num_convs=1),
        blender=replace(config.blender, mask_size=14, attention_size=7),
    )


def tiny_recipe(**changes: object) -> Recipe:
    recipe = Recipe(
        loss=LossConfig(sizes_of_interest=(64, 128, 256)),
        optimizer=OptimizerConfig(warmup_iterations=4, steps=(5,)),
        batch_size=2,
        iterations=6,
        freeze_at=0,
        checkpoint_every=100,
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def batch_of(pictures: list[int], *, empty: bool = False) -> TrainingBatch:
    """A batch of made-up pictures, each a function of its number: noise and one square on it."""
    rows = [_picture(number) for number in pictures]
    boxes = [box for _, box, _ in rows]
    classes = [label for _, _, label in rows]
    nothing = slice(0, 0) if empty else slice(None)
    count = 0 if empty else 1
    return TrainingBatch(
        pixels=torch.stack([pixels for pixels, _, _ in rows]),
        sizes=[(SIDE, SIDE)] * len(rows),
        boxes_xyxy=[box[nothing] for box in boxes],
        classes=[label[nothing] for label in classes],
        masks=[torch.ones(count, 14, 14, dtype=torch.bool) for _ in rows],
        has_mask=[torch.ones(count, dtype=torch.bool) for _ in rows],
        basis_labels=torch.zeros(len(rows), SIDE // 8, SIDE // 8, dtype=torch.uint8),
        semantic_labels=None,
        labelled_classes=torch.ones(len(rows), NUM_CLASSES, dtype=torch.bool),
        image_ids=list(pictures),
    )


def batches_from(start: int, size: int = 2) -> Iterator[TrainingBatch]:
    """Endless batches: the nth is pictures n·size, n·size + 1, …"""
    number = start
    while True:
        yield batch_of(list(range(number * size, (number + 1) * size)))
        number += 1


def tiny_training(
    recipe: Recipe | None = None,
    *,
    criterion: Losses | None = None,
    world: World | None = None,
    config: ModelConfig | None = None,
    skip_non_finite: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Training:
    recipe, config = recipe or tiny_recipe(), config or tiny_config()
    torch.manual_seed(recipe.seed)
    network = BlendMask(config)
    initialise(network, backbone=None, freeze_at=recipe.freeze_at)
    network.to(dtype)
    synchronise_batch_norm(network, config, CPU)
    return Training(
        network=network,
        criterion=criterion or Criterion(recipe.loss, config),
        optimizer=build_optimizer(network, recipe.optimizer),
        recipe=recipe,
        device=CPU,
        world=world or World(),
        skip_non_finite=skip_non_finite,
    )


def run(
    training: Training,
    batches: Iterator[TrainingBatch] | None = None,
    *,
    keeper: Keeper | None = None,
    progress: Progress | None = None,
    stop: StopRequest | None = None,
) -> bool:
    """Train to the end, saving if a keeper is given."""
    return train(
        training,
        batches_from(training.iteration) if batches is None else batches,
        progress=progress or Progress(None, start=0, end=training.recipe.iterations, every=1),
        evaluate=None,
        save=(lambda: keeper.save(training)) if keeper else lambda: None,
        stop=stop or StopRequest(),
    )


def keeper_in(folder: Path, recipe: Recipe | None = None) -> Keeper:
    return Keeper(folder, tiny_config(), CATEGORIES, recipe or tiny_recipe(), {"data": "made up"})


def weights_of(training: Training) -> dict[str, bytes]:
    return {n: t.numpy().tobytes() for n, t in training.network.state_dict().items()}


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten().double() for t in tensors.values()])


def _picture(number: int) -> tuple[Tensor, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (3, SIDE, SIDE), generator=chance, dtype=torch.uint8)
    left, top = (int(v) for v in torch.randint(4, 24, (2,), generator=chance))
    pixels[:, top : top + 32, left : left + 32] = 200
    box = torch.tensor([[left, top, left + 32, top + 32]], dtype=torch.float32)
    return pixels, box, torch.tensor([number % NUM_CLASSES])
