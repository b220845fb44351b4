"""The optimiser decays what the original decays, and the learning rate is the original's."""

from __future__ import annotations

from dataclasses import replace

import golden_training
import goldens
import pytest
import torch
from tiny import tiny_config

from model.network.blendmask import BlendMask
from model.presets import preset
from model.train.recipes.recipe import RECIPES, OptimizerConfig
from model.train.starting_weights.initialise import initialise
from model.train.state.optimizer import build_optimizer, learning_rate


def schedules() -> list[str]:
    """Names of the configurations whose learning rates are in the folder."""
    if not (goldens.FOLDER / "_train" / "lr_schedules.json").is_file():
        return []
    return list(goldens.read("_train/lr_schedules"))


@pytest.mark.parametrize("name", schedules())
def test_learning_rate_is_the_originals(name: str) -> None:
    expected = goldens.read("_train/lr_schedules")[name]
    recipe = RECIPES[name]
    assert recipe.iterations == expected["max_iter"]
    for iteration, rate in expected["lr"]:
        assert learning_rate(iteration, recipe.optimizer) == pytest.approx(rate, rel=1e-9)


def test_learning_rate_rises_then_falls_by_steps() -> None:
    config = OptimizerConfig(
        learning_rate=1.0, warmup_iterations=10, warmup_factor=0.1, steps=(20, 30), gamma=0.5
    )
    rates = [learning_rate(iteration, config) for iteration in (0, 5, 10, 19, 20, 30, 99)]
    assert rates == pytest.approx([0.1, 0.55, 1, 1, 0.5, 0.25, 0.25])


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert learning_rate(0, OptimizerConfig(learning_rate=0.02, warmup_iterations=0)) == 0.02


@pytest.mark.parametrize("name", golden_training.configurations())
def test_weight_decay_of_every_parameter_is_the_originals(name: str) -> None:
    with torch.device("meta"):
        network = BlendMask(preset(name))
    initialise(network, backbone=None, freeze_at=RECIPES[name].freeze_at)
    optimizer = build_optimizer(network, RECIPES[name].optimizer)
    decay_of = {
        p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    ours = {
        golden_training.original_name(own): decay_of[parameter]
        for own, parameter in network.named_parameters()
        if parameter in decay_of
    }
    assert ours == goldens.read(f"{name}/train")["sgd"]["weight_decay_per_param"]


def test_frozen_parameters_are_left_out() -> None:
    network = BlendMask(tiny_config())
    initialise(network, backbone=None, freeze_at=2)
    optimizer = build_optimizer(network, OptimizerConfig())
    held = {p for group in optimizer.param_groups for p in group["params"]}
    assert held == {p for p in network.parameters() if p.requires_grad}
    assert len(held) < len(list(network.parameters()))


def test_network_frozen_whole_is_refused() -> None:
    network = BlendMask(tiny_config()).requires_grad_(False)
    with pytest.raises(ValueError, match="all parameters are frozen"):
        build_optimizer(network, OptimizerConfig())


def test_optimiser_starts_at_the_first_iterations_rate() -> None:
    config = replace(OptimizerConfig(), learning_rate=0.5)
    optimizer = build_optimizer(torch.nn.Linear(1, 1), config)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0005)


def test_adamw_decays_weights_and_biases_but_no_norms() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    config = OptimizerConfig(
        kind="adamw", learning_rate=0.5, weight_decay=0.1, warmup_iterations=0, steps=()
    )
    optimizer = build_optimizer(network, config)
    assert isinstance(optimizer, torch.optim.AdamW)
    before = [p.detach().clone() for p in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # Without a gradient a step only decays: by rate × weight decay, 5 %.
    shares = (0.95, 0.95, 1.0, 1.0)
    for parameter, start, share in zip(network.parameters(), before, shares, strict=True):
        torch.testing.assert_close(parameter.detach(), start * share)
