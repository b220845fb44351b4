from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.checkpoints.describe import describe, describe_shapes, disagreements
from model.checkpoints.fit import check_fit, expected_shapes, infer_config, suitable_presets
from model.config import FCOSConfig, ModelConfig
from model.presets import PRESETS, preset
from model.train.recipes.small import small_2_model


def weights(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Tensors of a network's names and shapes, without memory."""
    shapes = expected_shapes(config)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("name", PRESETS)
def test_released_network_is_recognised_by_its_tensors(name: str) -> None:
    config = infer_config(weights(preset(name)), hint=name.rpartition("/")[2])
    assert config == preset(name)


def test_networks_that_share_tensors_share_what_prediction_reads() -> None:
    for config in PRESETS.values():
        for suited in suitable_presets(expected_shapes(config)):
            assert replace(suited, name=config.name) == config


def test_numbers_of_classes_are_read_from_the_tensors() -> None:
    custom = replace(
        preset("R_50_1x"),
        fcos=FCOSConfig(num_classes=3),
        basis=replace(preset("R_50_1x").basis, auxiliary_classes=3),
    )
    assert infer_config(weights(custom)) == custom


def test_absent_training_head_does_not_hide_the_network() -> None:
    tensors = {n: t for n, t in weights(preset("R_50_3x")).items() if ".seg_head." not in n}
    assert infer_config(tensors, hint="R_50_3x") == preset("R_50_3x")


def test_description_says_what_the_tensors_are() -> None:
    found = describe(weights(preset("Panoptic/R_101_dcni3_5x")))
    assert (found.task, found.backbone, found.depth) == ("panoptic", "resnet", 101)
    assert (found.deformable_interval, found.num_levels) == (3, 5)
    assert (found.num_classes, found.semantic_classes, found.auxiliary_classes) == (80, 54, 80)
    found = describe(weights(preset("DLA_34_syncbn_4x")))
    assert (found.task, found.backbone, found.depth) == ("instance", "dla34", None)
    assert (found.num_levels, found.num_class_convs, found.num_share_convs) == (3, 4, 0)


@pytest.mark.parametrize(
    ("weights_of", "configuration", "cause"),
    [
        ("Panoptic/R_50_3x", "R_50_3x", "the weights are panoptic, the configuration is instance"),
        ("R_50_3x", "Panoptic/R_50_3x", "the weights are instance-only, the configuration is pan"),
        ("R_101_3x", "R_50_3x", "backbone is a ResNet-101, the configuration's a ResNet-50"),
        ("R_101_dcni3_5x", "R_101_3x", r"is deformable \(interval 3\), the configuration's plain"),
        ("550_R_50_3x", "R_50_3x", "have 4 detection levels, the configuration 5"),
        ("Person/R_50_1x", "R_50_1x", "the weights have 1 classes, the configuration 80"),
        ("DLA_34_syncbn_4x", "R_50_1x", "backbone is DLA-34, the configuration's a ResNet-50"),
    ],
)
def test_misfit_names_its_cause_and_what_would_fit(
    weights_of: str, configuration: str, cause: str
) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        check_fit(weights(preset(weights_of)), preset(configuration))
    assert weights_of in str(caught.value).partition("they fit")[2]


def test_misfit_counts_and_names_every_kind_once() -> None:
    tensors = weights(preset("550_R_50_1x"))
    for index in range(12):
        tensors[f"stranger.{index}"] = torch.empty(1, device="meta")
    del tensors["top_layer.bias"]
    tensors["top_layer.weight"] = torch.empty(2, 3, device="meta")
    with pytest.raises(ValueError, match="do not fit") as caught:
        check_fit(tensors, preset("550_R_50_1x"))
    message = str(caught.value)
    assert "1 missing: top_layer.bias;" in message
    assert "12 unknown: stranger.0, stranger.1," in message
    assert "stranger.9 and 2 more;" in message
    assert "stranger.10" not in message
    assert "1 of another shape: top_layer.weight (2, 3), not (784, 256, 3, 3)" in message
    assert "\n" not in message


def test_unknown_network_asks_for_its_configuration() -> None:
    tensors = weights(replace(preset("R_50_1x"), fcos=FCOSConfig(num_box_convs=3)))
    with pytest.raises(ValueError, match=r"give their own with --config.*nearest is R_50_1x") as e:
        infer_config(tensors)
    assert "the weights have 3 box convolutions in the head, the configuration 4" in str(e.value)


def test_training_only_tensors_may_be_there_or_not() -> None:
    config = preset("RT_R_50_4x_syncbn_shtw")
    tensors = weights(config)
    bare = {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    assert len(bare) < len(tensors)
    check_fit(bare, config)
    check_fit(tensors, replace(config, basis=replace(config.basis, auxiliary_classes=None)))


def test_whole_numbers_are_no_weights() -> None:
    tensors = weights(preset("R_50_1x"))
    tensors["top_layer.bias"] = torch.empty(784, dtype=torch.int8, device="meta")
    with pytest.raises(ValueError, match=r"top_layer\.bias is of type int8"):
        check_fit(tensors, preset("R_50_1x"))


def test_network_without_centerness_is_described_by_its_tensors() -> None:
    config = small_2_model(num_stuff=7)
    found = describe_shapes(expected_shapes(config))
    assert not disagreements(found, config)
    assert (found.backbone, found.num_classes, found.semantic_classes) == ("csp_net", 80, 8)
    assert (found.num_levels, found.num_bases, found.depth) == (3, 4, None)
