"""What each of two gloo processes does for test_world: `two_processes.py FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_training import (
    CPU,
    batch_of,
    batches_from,
    flat,
    run,
    tiny_config,
    tiny_recipe,
    tiny_training,
)
from torch import Tensor, nn

from model.config import ModelConfig
from model.train.distributed.batch_norm import AllReduceBatchNorm
from model.train.distributed.world import World, joined, world_of
from model.train.interrupt import StopRequest
from model.train.loop import NonFiniteLossError, train
from model.train.outputs.progress import Progress
from model.train.recipes.recipe import OptimizerConfig
from model.train.samples.batch import TrainingBatch
from model.train.state.training import Training

NUM_STEPS = 3


def synchronised_config() -> ModelConfig:
    """All batch normalisations synchronised: the auxiliary head, which never is, is left out."""
    config = tiny_config()
    return replace(
        config,
        fcos=replace(config.fcos, norm="sync_bn"),
        basis=replace(config.basis, auxiliary_classes=None),
    )


def constant_config() -> ModelConfig:
    config = tiny_config()
    return replace(
        config,
        backbone=replace(config.backbone, norm="frozen_bn"),
        basis=replace(config.basis, norm="frozen_bn", auxiliary_classes=None),
    )


def steps(config: ModelConfig, world: World, pictures: list[list[int]]) -> Training:
    """Train for a few steps in double precision; `pictures` are this process's."""
    optimizer = OptimizerConfig(learning_rate=0.01, warmup_iterations=0)
    recipe = tiny_recipe(optimizer=optimizer, iterations=NUM_STEPS, accumulate=1)
    training = tiny_training(recipe, world=world, config=config, dtype=torch.float64)
    run(training, iter([batch_of(numbers) for numbers in pictures]))
    return training


def batch_norm(world: World) -> dict[str, Tensor]:
    """Normalise this process's part of five pictures: two here, three there."""
    norm = AllReduceBatchNorm.of(five_pictures_norm())
    part = five_pictures()[:2] if world.rank == 0 else five_pictures()[2:]
    part = part.clone().requires_grad_()
    out = norm(part)
    (out * torch.arange(out.shape[1])[:, None, None] * part.detach().sign()).sum().backward()
    assert part.grad is not None
    return {"out": out.detach(), "gradient": part.grad, **norm.state_dict()}


def five_pictures_norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(3).double()
    nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(2))
    return norm


def five_pictures() -> Tensor:
    chance = torch.Generator().manual_seed(1)
    return 100 + 3 * torch.randn(5, 3, 2, 4, generator=chance, dtype=torch.float64)


def empty_handed(world: World) -> Tensor:
    """Train where the second process never sees an object."""
    training = tiny_training(tiny_recipe(iterations=2), world=world)
    batches = [batch_of([0, 1], empty=world.rank == 1), batch_of([2, 3], empty=world.rank == 1)]
    run(training, iter(batches))
    return flat(dict(training.network.named_parameters()))


def stopped_elsewhere(world: World) -> int:
    """Return where this process stops when the second one alone is asked to."""
    training = tiny_training(tiny_recipe(iterations=50), world=world)

    def batches() -> Iterator[TrainingBatch]:
        for number, batch in enumerate(batches_from(0)):
            if number == 1 and world.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with StopRequest() as stop:
        run(training, batches(), stop=stop)
    return training.iteration


def saved_elsewhere(world: World) -> list[int]:
    """Return when this process saves where the clock of the second one alone says so, once."""
    training = tiny_training(tiny_recipe(iterations=3), world=world)
    saved: list[int] = []
    train(
        training,
        batches_from(0),
        progress=Progress(None, start=0, end=3, every=1),
        evaluate=None,
        save=lambda: saved.append(training.iteration),
        stop=StopRequest(),
        is_save_due=lambda: world.rank == 1 and training.iteration == 1,
    )
    return saved


def no_number_elsewhere(world: World) -> str:
    """Return what this process says when the second one's loss alone is no number."""
    training = tiny_training(world=world)
    criterion = training.criterion

    class Spoilt:
        def __call__(self, model: Any, batch: TrainingBatch, device: Any) -> dict[str, Tensor]:
            losses = criterion(model, batch, device)
            if world.rank == 1:
                losses["loss_mask"] = losses["loss_mask"] * float("nan")
            return losses

        state_dict, load_state_dict = criterion.state_dict, criterion.load_state_dict

    training.step.module.criterion = Spoilt()  # type: ignore[union-attr, assignment]
    try:
        run(training, iter([batch_of([10 * world.rank, 10 * world.rank + 1])]))
    except NonFiniteLossError as error:
        return str(error)
    return "nothing"


def main() -> None:
    torch.set_num_threads(1)
    world = world_of()
    mine = [[4 * n + 2 * world.rank, 4 * n + 2 * world.rank + 1] for n in range(NUM_STEPS)]
    with joined(world, CPU):
        synchronised = steps(synchronised_config(), world, mine)
        results = {
            "synchronised": dict(synchronised.network.state_dict()),
            "constant": dict(steps(constant_config(), world, mine).network.state_dict()),
            "batch_norm": batch_norm(world),
            "empty_handed": empty_handed(world),
            "stopped": stopped_elsewhere(world),
            "saved": saved_elsewhere(world),
            "no_number": no_number_elsewhere(world),
            "num_random_states": len(synchronised.state()["random"]),
        }
    torch.save(results, Path(sys.argv[1]) / f"{world.rank}.pt")


if __name__ == "__main__":
    main()
