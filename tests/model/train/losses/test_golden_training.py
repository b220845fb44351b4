"""A training step gives the original's targets, losses, gradients and weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import golden_training
import goldens
import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.presets import preset
from model.train.losses.targets import detection_targets
from model.train.recipes.recipe import RECIPES
from model.train.state.optimizer import build_optimizer

CONFIGURATIONS = golden_training.configurations() if golden_training.has_inputs() else []
QUICK_FLOAT64 = "RT_R_50_4x_bn-head_syncbn_shtw"
QUICK_FLOAT32 = "Panoptic/R_50_1x"

# The original keeps some of its losses in float32, in double precision too.
MAX_ERROR = 1e-6
# The original's own float32 against its float64: 5e-7 and 1e-3; ours may be as far on its side.
MAX_ERROR_FLOAT32 = 2e-6
MAX_GRADIENT_ERROR_FLOAT32 = 3e-3
# A gradient that is truly 0, before a batch normalisation, is noise of the others' size.
ZERO = 1e-9
ZERO_FLOAT32 = 1e-3


def cases(quick: str) -> list[Any]:
    return [
        pytest.param(name, marks=() if name == quick else pytest.mark.golden_all)
        for name in CONFIGURATIONS
    ]


def values(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}


def sampled(tensor: Tensor) -> np.ndarray:
    flat = tensor.detach().numpy().ravel()
    return flat if flat.size <= 16 else flat[(np.arange(16) * flat.size) // 16]


def assert_same_gradients(
    network: BlendMask, expected: dict[str, float], *, max_error: float, zero: float
) -> None:
    norms = {
        golden_training.original_name(name): parameter.grad.norm().item()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    assert set(norms) == set(expected)
    wrong = {
        name: (norms[name], norm)
        for name, norm in expected.items()
        if abs(norms[name] - norm) > max_error * norm + zero
    }
    assert wrong == {}


def assert_same_statistics(network: BlendMask, expected: dict[str, list[float]]) -> None:
    found = {golden_training.original_name(n): t for n, t in network.state_dict().items()}
    for name, (mean, std) in expected.items():
        assert found[name].mean().item() == pytest.approx(mean, rel=MAX_ERROR, abs=1e-9), name
        spread = found[name].std(correction=0).item()
        assert spread == pytest.approx(std, rel=MAX_ERROR, abs=1e-9), name


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_targets_are_the_originals(name: str) -> None:
    batch = golden_training.batch()
    config = preset(name)
    targets = detection_targets(batch, config.strides, RECIPES[name].loss)
    expected = np.load(goldens.FOLDER / name / "train.npz")
    first_step = goldens.read(f"{name}/train")["steps"][0]
    assert targets.cells.counts == first_step["num_pos_per_level"]
    height, width = batch.pixels.shape[2:]
    found = zip(
        targets.cells.by_level(),
        *(
            torch.split(part, targets.cells.counts)
            for part in (targets.classes, targets.objects, targets.distances)
        ),
        strict=True,
    )
    for level, (cells, classes, objects, distances) in enumerate(found):
        images, rows, columns = cells
        stride = config.strides[level]
        shape = (len(batch.sizes), -(-height // stride), -(-width // stride))
        labels = np.full(shape, config.fcos.num_classes)
        labels[images, rows, columns] = classes
        np.testing.assert_array_equal(labels.ravel(), expected[f"target.labels.{level}"])
        flat = ((images * shape[1] + rows) * shape[2] + columns).numpy()
        np.testing.assert_array_equal(objects, expected[f"target.inds.{level}"][flat])
        np.testing.assert_array_equal(distances, expected[f"target.reg.{level}"][flat])


@pytest.mark.parametrize("name", cases(QUICK_FLOAT64))
def test_first_step_in_float64_is_the_originals(name: str) -> None:
    expected = goldens.read(f"{name}/train_f64")["steps"][0]
    network = golden_training.model(name, torch.float64)
    criterion = golden_training.criterion(name)
    losses = criterion(network, golden_training.batch(), golden_training.CPU)
    assert values(losses) == pytest.approx(expected["losses"], rel=MAX_ERROR)
    assert_same_statistics(network, expected["bn_stats_after_forward"])
    torch.stack(list(losses.values())).sum().backward()
    assert_same_gradients(network, expected["grad_norms"], max_error=MAX_ERROR, zero=ZERO)
    samples = np.load(goldens.FOLDER / name / "train_f64.npz")
    for own, parameter in network.named_parameters():
        if parameter.grad is not None:
            theirs = samples[f"grad.{golden_training.original_name(own)}"]
            error = np.abs(sampled(parameter.grad) - theirs).max()
            assert error <= MAX_ERROR * parameter.grad.abs().max().item() + ZERO, own


@pytest.mark.parametrize("name", cases(QUICK_FLOAT64))
def test_batches_with_few_objects_have_the_originals_losses(name: str) -> None:
    expected = goldens.read(f"{name}/train_f64")["edge_cases"]
    network = golden_training.model(name, torch.float64)
    criterion = golden_training.criterion(name)
    batches = {
        "one_image_without_gt": golden_training.batch(emptied=[1]),
        "no_gt_at_all": golden_training.batch(emptied=[0, 1]),
        "single_image": golden_training.batch([1]),
    }
    for case, batch in batches.items():
        with torch.no_grad():
            losses = criterion(network, batch, golden_training.CPU)
        assert values(losses) == pytest.approx(expected[case], rel=MAX_ERROR, abs=1e-12), case


@pytest.mark.parametrize("name", cases(QUICK_FLOAT32))
def test_first_step_in_float32_is_the_originals_within_its_noise(name: str) -> None:
    expected = goldens.read(f"{name}/train")["steps"][0]
    network = golden_training.model(name, torch.float32)
    losses = golden_training.criterion(name)(network, golden_training.batch(), golden_training.CPU)
    assert values(losses) == pytest.approx(expected["losses"], rel=MAX_ERROR_FLOAT32)
    torch.stack(list(losses.values())).sum().backward()
    assert_same_gradients(
        network,
        expected["grad_norms"],
        max_error=MAX_GRADIENT_ERROR_FLOAT32,
        zero=ZERO_FLOAT32,
    )


@pytest.mark.golden_all
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_three_steps_lead_where_the_originals_led(name: str) -> None:
    expected = goldens.read(f"{name}/train_f64")
    network = golden_training.model(name, torch.float64)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = RECIPES[name]
    optimizer = build_optimizer(
        network,
        replace(
            recipe.optimizer, learning_rate=expected["sgd"]["lr"], warmup_iterations=0, steps=()
        ),
    )
    criterion, batch = golden_training.criterion(name), golden_training.batch()
    for step in expected["steps"]:
        losses = criterion(network, batch, golden_training.CPU)
        assert values(losses) == pytest.approx(step["losses"], rel=MAX_ERROR)
        if step is expected["steps"][-1]:
            break
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    after = network.state_dict()
    theirs = {golden_training.original_name(name): name for name in after}
    for name_there, summary in expected["params_after"].items():
        own = theirs[name_there]
        tensor = after[own]
        assert sampled_start(tensor) == pytest.approx(summary["first8"], rel=1e-6, abs=1e-9), own
        moved = (tensor - before[own]).norm().item()
        assert moved == pytest.approx(summary["delta_norm"], rel=1e-4, abs=1e-12), own
    for name_there in expected["unchanged_float_tensors"]:
        assert torch.equal(after[theirs[name_there]], before[theirs[name_there]]), name_there


def sampled_start(tensor: Tensor) -> list[float]:
    return tensor.flatten()[:8].tolist()


# What an option of the original is in our configurations; None: we do not have it.
def _with_options(options: list[Any]) -> tuple[ModelConfig, dict[str, Any]] | None:
    config = preset("R_50_1x")
    name, value = options[0].rpartition(".")[2], options[1]
    in_losses = {
        "LOSS_NORMALIZER_CLS": {"class_normaliser": value},
        "LOC_LOSS_TYPE": {"box_loss": value},
        "CENTER_SAMPLE": {"center_radius": float("inf")},
        "POS_RADIUS": {"center_radius": value},
        "LOSS_WEIGHT_CLS": {"class_weight": value},
        "INSTANCE_LOSS_WEIGHT": {"mask_weight": value},
    }
    in_network = {
        "USE_SCALE": {"fcos": replace(config.fcos, use_scale=True)},
        "TOP_INTERP": {"blender": replace(config.blender, attention_interpolation="nearest")},
        "POOLER_TYPE": {"blender": replace(config.blender, aligned=False)},
        "LOSS_ON": {"basis": replace(config.basis, auxiliary_classes=None)},
        "FUSE_TYPE": {"fpn": replace(config.fpn, fuse="avg")},
        "STRIDE_IN_1X1": {"backbone": replace(config.backbone, stride_in_1x1=False)},
    }
    if name in in_losses:
        return config, in_losses[name]
    if name in in_network:
        return replace(config, **in_network[name]), {}
    if (name, value) == ("NORM", "none"):
        return replace(config, fcos=replace(config.fcos, norm="none")), {}
    return None


def variants() -> list[Any]:
    if not (goldens.FOLDER / "_train" / "variants_R_50_1x.json").is_file():
        return []
    return [
        pytest.param(variant, id="=".join(map(str, variant["opts"])))
        for variant in goldens.read("_train/variants_R_50_1x")
        if _with_options(variant["opts"]) is not None
    ]


@pytest.mark.golden_all
@pytest.mark.parametrize("variant", variants())
def test_losses_under_other_options_are_the_originals(variant: dict[str, Any]) -> None:
    options = _with_options(variant["opts"])
    assert options is not None
    config, changes = options
    network = golden_training.model("R_50_1x", torch.float32, config)
    criterion = golden_training.criterion("R_50_1x", config=config, **changes)
    batch = golden_training.batch()
    with torch.no_grad():
        losses = criterion(network, batch, golden_training.CPU)
        assert values(losses) == pytest.approx(variant["losses"], rel=MAX_ERROR_FLOAT32)
        if "losses_second_forward" in variant:
            losses = criterion(network, batch, golden_training.CPU)
            expected = variant["losses_second_forward"]
            assert values(losses) == pytest.approx(expected, rel=MAX_ERROR_FLOAT32)
            moving = criterion.state_dict()["moving_positives"]
            assert moving == pytest.approx(variant["moving_num_fg"], rel=1e-6)
