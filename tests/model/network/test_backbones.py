from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2

from model.config import BackboneConfig, FPNConfig
from model.network.blendmask import BlendMask
from model.network.fpn import FPN, build_backbone
from model.network.layers import FrozenBatchNorm
from model.network.resnet import DeformableConv
from model.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (BackboneConfig(depth=50), [256, 512, 1024, 2048]),
        (BackboneConfig(depth=50, norm="bn", deformable_interval=3), [256, 512, 1024, 2048]),
        (BackboneConfig(kind="dla34", norm="bn"), [64, 128, 256, 512]),
        (BackboneConfig(kind="mobilenet_v2", norm="bn"), [24, 32, 96, 320]),
    ],
)
def test_backbone_gives_strides_4_to_32(config: BackboneConfig, channels: list[int]) -> None:
    backbone = build_backbone(config).eval()
    with torch.inference_mode():
        outputs = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(outputs[level].shape) for level in (2, 3, 4, 5)] == [
        (1, number, 64 // stride, 96 // stride)
        for number, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]


def test_every_third_block_of_the_later_stages_is_deformable() -> None:
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(depth=101, deformable_interval=3))
    deformable = [
        name.removesuffix(".conv2")
        for name, module in backbone.named_modules()
        if isinstance(module, DeformableConv)
    ]
    in_res4 = [f"res4.{index}" for index in range(0, 23, 3)]
    assert deformable == ["res3.0", "res3.3", *in_res4, "res5.0"]


def test_stride_moves_to_the_3x3_convolution_if_asked() -> None:
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(stride_in_1x1=False))
    assert backbone.get_submodule("res3.0.conv1").stride == (1, 1)
    assert backbone.get_submodule("res3.0.conv2").stride == (2, 2)


def test_deformable_convolution_without_offsets_is_half_a_plain_one() -> None:
    torch.manual_seed(0)
    module = DeformableConv(8, norm=nn.Identity(), stride=1)
    x = torch.randn(1, 8, 6, 7)
    plain = nn.functional.conv2d(x, module.weight, padding=1)
    # A modulation logit of 0 weighs each tap by a half.
    torch.testing.assert_close(module(x, torch.zeros(1, 27, 6, 7)), plain / 2)


def test_frozen_normalisation_has_no_parameters_and_starts_as_the_identity() -> None:
    norm = FrozenBatchNorm(4)
    assert list(norm.parameters()) == []
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(norm(x), x)
    assert torch.equal(norm.train()(x), norm.eval()(x))


def test_mobilenet_has_torchvisions_names() -> None:
    with torch.device("meta"):
        ours = build_backbone(BackboneConfig(kind="mobilenet_v2", norm="bn")).state_dict()
        theirs = mobilenet_v2(weights=None).state_dict()
    unread = {name for name in theirs if name.startswith(("features.18.", "classifier."))}
    assert set(ours) == set(theirs) - unread
    assert all(ours[name].shape == theirs[name].shape for name in ours)


@pytest.mark.parametrize(("num_top_levels", "last"), [(0, 5), (1, 6), (2, 7)])
def test_pyramid_grows_coarser_levels(num_top_levels: int, last: int) -> None:
    backbone = BackboneConfig(kind="mobilenet_v2", norm="bn")
    config = FPNConfig(channels=8, num_top_levels=num_top_levels)  # type: ignore[arg-type]
    fpn = FPN(config, backbone, finest_level=3).eval()
    with torch.inference_mode():
        pyramid = fpn(torch.zeros(1, 3, 96, 160))
    assert list(pyramid) == list(range(3, last + 1))
    # 96 × 160 has 3 × 5 cells at stride 32; coarser levels round up.
    sizes = {5: (3, 5), 6: (2, 3), 7: (1, 2)}
    assert tuple(pyramid[last].shape[-2:]) == sizes[last]


@pytest.mark.parametrize("name", PRESETS)
def test_network_can_be_built_without_memory(name: str) -> None:
    with torch.device("meta"):
        model = BlendMask(preset(name))
    assert all(parameter.is_meta for parameter in model.parameters())


def test_batch_normalised_head_has_one_norm_for_each_level() -> None:
    config = preset("RT_R_50_4x_bn-head_syncbn_shtw")
    with torch.device("meta"):
        head = BlendMask(config).fcos_head
    norms = head.get_submodule("share_tower.1")
    assert isinstance(norms, nn.ModuleList)
    assert len(norms) == len(config.strides) == 3


def test_head_without_norm_keeps_only_convolutions() -> None:
    config = preset("R_50_1x")
    with torch.device("meta"):
        model = BlendMask(replace(config, fcos=replace(config.fcos, norm="none", use_scale=True)))
    kinds = {type(module) for module in model.fcos_head.cls_tower}
    assert kinds == {nn.Conv2d, nn.ReLU}
    assert "fcos_head.scales.4.scale" in model.state_dict()
