"""Networks start from the original's random values, from a backbone, or from other weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import golden_training
import goldens
import pytest
import torch
from tiny import CATEGORIES, tiny_config
from torch import Tensor

from model.checkpoints.checkpoint import Checkpoint
from model.config import ModelConfig, NetworkPart
from model.network.blendmask import BlendMask
from model.network.layers import FrozenBatchNorm
from model.presets import preset
from model.train.recipes.small import small_2_model
from model.train.starting_weights.initialise import (
    freeze_parts,
    initialise,
    load_starting_point,
)

QUICK = ("DLA_34_syncbn_4x", "Panoptic/R_50_1x")
CLASS_LAYERS = [
    f"{layer}.{kind}"
    for layer in ("basis_module.seg_head.6", "fcos_head.cls_logits")
    for kind in ("bias", "weight")
]


def described_networks() -> list[Any]:
    if not (goldens.FOLDER / "_train" / "init_stats.json").is_file():
        return []
    return [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.golden_all)
        for name in goldens.read("_train/init_stats")["configs"]
    ]


def spoilt(config: ModelConfig) -> BlendMask:
    """A network in which nothing has a sensible value."""
    network = BlendMask(config)
    for tensor in network.state_dict().values():
        tensor.fill_(7)
    return network


def checkpoint_of(config: ModelConfig, value: float = 2.0) -> Checkpoint:
    tensors = {n: torch.full_like(t, value) for n, t in BlendMask(config).state_dict().items()}
    return Checkpoint(
        config=config, categories=CATEGORIES, tensors=tensors, sha256="", provenance={}
    )


def started(config: ModelConfig, freeze_at: int = 0) -> BlendMask:
    network = BlendMask(config)
    initialise(network, backbone=None, freeze_at=freeze_at)
    return network


@pytest.mark.parametrize("name", described_networks())
def test_random_values_are_spread_as_the_originals(name: str) -> None:
    network = spoilt(preset(name))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        initialise(network, backbone=None, freeze_at=0)
    expected = goldens.read("_train/init_stats")["configs"][name]
    found = {golden_training.original_name(n): t for n, t in network.state_dict().items()}
    assert set(found) == set(expected)
    wrong = {}
    for tensor_name, (mean, std, low, high) in expected.items():
        values = found[tensor_name].double()
        deviation = values.std(correction=0).item()
        if std == 0:
            if not (values == low).all() and abs(values.mean().item() - mean) > 1e-6:
                wrong[tensor_name] = values.mean().item()
            continue
        # Two samples of that size and spread differ by chance; five standard errors are not.
        chance = 5 * (2 / values.numel()) ** 0.5
        extreme = max(abs(low), abs(high))
        if (
            abs(deviation / std - 1) > max(chance, 0.01)
            or abs(values.mean().item() - mean) > chance * std
            # The extremes tell a uniform spread from a normal one, where there are enough values.
            or (values.numel() > 64 and not 0.6 < values.abs().max().item() / extreme < 1.7)
        ):
            wrong[tensor_name] = (values.mean().item(), deviation, values.abs().max().item())
    assert wrong == {}


def test_backbone_is_loaded_and_the_rest_starts_afresh() -> None:
    network = BlendMask(tiny_config())
    backbone = {
        name: torch.full_like(tensor, 2)
        for name, tensor in network.state_dict().items()
        if name.startswith("backbone.bottom_up.")
    }
    fresh = initialise(network, backbone=backbone, freeze_at=0)
    after = network.state_dict()
    assert all((after[name] == 2).all() for name in backbone)
    expected = {n for n in after if n not in backbone and not n.endswith("num_batches_tracked")}
    assert set(fresh) == expected


def test_deformable_offsets_may_be_missing_from_a_backbone() -> None:
    config = preset("550_R_50_dcni3_5x")
    with torch.device("meta"):
        network = BlendMask(config)
    backbone = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.startswith("backbone.bottom_up.") and "conv2_offset" not in name
    }
    fresh = initialise(network, backbone=backbone, freeze_at=2)
    assert "backbone.bottom_up.res3.0.conv2_offset.weight" in fresh
    assert "backbone.bottom_up.res3.0.conv2.weight" not in fresh


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.pop(next(iter(b))), "lacks 1 tensors, such as backbone.bottom_up.features"),
        (lambda b: b.update({"backbone.bottom_up.more": torch.ones(1)}), "has beyond it 1"),
        (lambda b: b.update({next(iter(b)): torch.ones(1)}), "has in another shape 1"),
    ],
)
def test_backbone_of_another_network_is_refused(change: Any, message: str) -> None:
    network = BlendMask(tiny_config())
    backbone: dict[str, Tensor] = {
        n: t for n, t in network.state_dict().items() if n.startswith("backbone.bottom_up.")
    }
    change(backbone)
    with pytest.raises(ValueError, match=message):
        initialise(network, backbone=backbone, freeze_at=0)


@pytest.mark.parametrize(
    ("name", "freeze_at", "frozen"),
    [
        ("R_50_1x", 0, set()),
        ("R_50_1x", 2, {"stem", "res2"}),
        ("RT_R_50_4x_syncbn_shtw", 1, {"stem"}),
        ("DLA_34_syncbn_4x", 2, {"base_layer", "level0", "level1", "level2"}),
        ("small-2", 2, {"entry", "stage2"}),
    ],
)
def test_freezing_holds_the_first_stages(name: str, freeze_at: int, frozen: set[str]) -> None:
    with torch.device("meta"):
        network = BlendMask(small_2_model() if name == "small-2" else preset(name))
    initialise(network, backbone=None, freeze_at=freeze_at)
    parameters = dict(network.backbone.bottom_up.named_parameters())
    assert {n.split(".")[0] for n, p in parameters.items() if not p.requires_grad} == frozen
    outside = [p for n, p in network.named_parameters() if ".bottom_up." not in n]
    assert all(p.requires_grad for p in outside)


def test_frozen_batch_normalisations_are_constants_in_training() -> None:
    network = started(tiny_config(), freeze_at=2).train()
    bottom_up = network.backbone.bottom_up
    kinds = {
        int(name.split(".")[1]): type(module)
        for name, module in bottom_up.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d | FrozenBatchNorm)
    }
    assert {index for index, kind in kinds.items() if kind is FrozenBatchNorm} == {0, 1, 2, 3}
    before = {n: t.clone() for n, t in bottom_up.state_dict().items()}
    bottom_up(torch.rand(1, 3, 64, 64))
    after = bottom_up.state_dict()
    changed = {int(n.split(".")[1]) for n, t in before.items() if not torch.equal(t, after[n])}
    assert changed == set(range(4, 18))


@pytest.mark.parametrize("freeze_at", [-1, 6])
def test_there_are_five_stages_to_freeze(freeze_at: int) -> None:
    with pytest.raises(ValueError, match=f"freeze_at is {freeze_at}; it must be between 0 and 5"):
        started(tiny_config(), freeze_at)


def test_starting_point_of_the_same_classes_is_loaded_whole() -> None:
    network = started(tiny_config(), freeze_at=2)
    assert load_starting_point(network, checkpoint_of(tiny_config())) == []
    assert all((tensor == 2).all() for tensor in network.state_dict().values())


def test_layers_for_other_classes_start_afresh_and_are_listed() -> None:
    config = tiny_config()
    one_class = replace(
        config,
        fcos=replace(config.fcos, num_classes=1),
        basis=replace(config.basis, auxiliary_classes=1),
    )
    network = started(one_class)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    assert sorted(load_starting_point(network, checkpoint_of(config))) == CLASS_LAYERS
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name in CLASS_LAYERS), name


def test_what_the_starting_point_lacks_is_listed() -> None:
    point = checkpoint_of(tiny_config())
    without = {n: t for n, t in point.tensors.items() if "seg_head" not in n}
    fresh = load_starting_point(started(tiny_config()), replace(point, tensors=without))
    assert set(fresh) == {
        n for n in point.tensors if "seg_head" in n and not n.endswith("num_batches_tracked")
    }


def test_starting_point_of_another_architecture_is_refused() -> None:
    config = tiny_config()
    narrower = replace(config, basis=replace(config.basis, channels=16))
    network = started(config)
    with pytest.raises(ValueError, match="another architecture: basis_module"):
        load_starting_point(network, checkpoint_of(narrower))
    foreign = replace(checkpoint_of(config), tensors={"other.weight": torch.ones(1)})
    with pytest.raises(ValueError, match="no tensor has a name"):
        load_starting_point(network, foreign)


@pytest.mark.parametrize(
    ("part", "prefix"),
    [
        ("backbone", "backbone."),
        ("head", "fcos_head."),
        ("bases", "basis_module."),
        ("attentions", "top_layer."),
        ("stuff", "semantic_head."),
    ],
)
def test_freezing_a_part_holds_all_of_it_and_nothing_else(part: NetworkPart, prefix: str) -> None:
    network = BlendMask(tiny_config(semantic=True))
    freeze_parts(network, [part])
    parameters = dict(network.named_parameters())
    held = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    assert held == {name for name in parameters if name.startswith(prefix)}
    norms = [
        m
        for n, m in network.named_modules()
        if isinstance(m, torch.nn.BatchNorm2d) and n.startswith(prefix)
    ]
    assert norms == []


def test_part_that_the_network_lacks_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match="no part 'stuff' to freeze"):
        freeze_parts(BlendMask(tiny_config()), ["stuff"])
