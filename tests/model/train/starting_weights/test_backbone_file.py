from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50

from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.presets import preset
from model.train.recipes.small import RGB_MEAN, small_model
from model.train.starting_weights.backbone_file import open_backbone
from model.train.starting_weights.initialise import initialise

_BOTTOM_UP = "backbone.bottom_up."


def _saved(network: nn.Module, folder: Path) -> str:
    torch.save(network.state_dict(), folder / "imagenet.pth")
    return str(folder / "imagenet.pth")


def _loaded(tensors: dict[str, Tensor] | None, config: ModelConfig) -> BlendMask:
    network = BlendMask(config)
    initialise(network, backbone=tensors, freeze_at=0)
    return network.eval()


def _picture() -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_torchvisions_resnet_computes_the_same_here(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = resnet50().eval()
    tensors, config = open_backbone(_saved(theirs, tmp_path), preset("R_50_1x"))
    ours = _loaded(tensors, config).backbone.bottom_up
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(_picture()))))
        expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
        torch.testing.assert_close(ours(_picture())[5], expected, rtol=1e-4, atol=1e-4)


def test_torchvisions_resnet_changes_stride_and_pixels_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _, config = open_backbone(_saved(resnet50(), tmp_path), preset("R_50_1x"))
    assert not config.backbone.stride_in_1x1
    assert config.input.channels == "rgb"
    assert config.input.pixel_mean == RGB_MEAN
    assert "R_50_1x is adapted" in caplog.text


def test_torchvisions_mobilenet_computes_the_same_here(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = mobilenet_v2().eval()
    tensors, config = open_backbone(_saved(theirs, tmp_path), small_model())
    assert config == small_model()
    ours = _loaded(tensors, config).backbone.bottom_up
    with torch.no_grad():
        torch.testing.assert_close(ours(_picture())[5], theirs.features[:18](_picture()))


def _in_flat_rows(network: nn.Module) -> nn.Module:
    for block in list(network.features)[1:18]:
        layers = [m for m in block.conv.modules() if not isinstance(m, nn.Sequential)]
        block.conv = nn.Sequential(*layers)
    return network


def test_mobilenet_in_flat_rows_of_layers_computes_the_same_here(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = _in_flat_rows(mobilenet_v2().eval())
    assert "features.2.conv.7.running_var" in theirs.state_dict()
    tensors, config = open_backbone(_saved(theirs, tmp_path), small_model())
    assert config == small_model()
    ours = _loaded(tensors, config).backbone.bottom_up
    with torch.no_grad():
        torch.testing.assert_close(ours(_picture())[5], theirs.features[:18](_picture()))


def test_detectron2s_file_keeps_the_configuration(tmp_path: Path) -> None:
    network = BlendMask(preset("R_50_1x"))
    tensors = {
        name.removeprefix(_BOTTOM_UP): tensor
        for name, tensor in network.state_dict().items()
        if name.startswith(_BOTTOM_UP)
    }
    torch.save(tensors, tmp_path / "R-50.pth")
    found, config = open_backbone(str(tmp_path / "R-50.pth"), preset("R_50_1x"))
    assert config == preset("R_50_1x")
    assert found is not None
    assert set(found) == {_BOTTOM_UP + name for name in tensors}


@pytest.mark.parametrize("given", [None, "none"])
def test_nothing_is_a_start_too(given: str | None) -> None:
    assert open_backbone(given, small_model()) == (None, small_model())


def test_backbone_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = _saved(mobilenet_v2(), tmp_path)
    with pytest.raises(ValueError, match="another backbone than the configuration's, resnet-50"):
        open_backbone(path, preset("R_50_1x"))


def test_backbone_of_another_depth_is_refused(tmp_path: Path) -> None:
    path = _saved(resnet50(), tmp_path)
    with pytest.raises(ValueError, match="resnet-101"):
        open_backbone(path, preset("R_101_3x"))


def test_torchvision_has_no_dla() -> None:
    with pytest.raises(ValueError, match="no DLA-34"):
        open_backbone("torchvision", preset("DLA_34_syncbn_4x"))


def test_backbone_with_values_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    theirs = mobilenet_v2()
    theirs.features[0][0].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"imagenet\.pth: 1 of 864 values of the tensor"):
        open_backbone(_saved(theirs, tmp_path), small_model())
