from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import goldens
import numpy as np
import pytest
import torch

from model.checkpoints.fit import expected_shapes
from model.checkpoints.tensor_names import backbone_tensors, is_backbone_only, our_names
from model.config import BackboneConfig
from model.network.fpn import build_backbone
from model.presets import preset

NAMES = goldens.configurations()


@pytest.mark.parametrize("name", NAMES)
def test_original_names_and_shapes_become_those_of_the_network(name: str) -> None:
    rows = goldens.read(f"{name}/manifest")["state_dict"]
    names = our_names(row["name"] for row in rows)
    assert {names[r["name"]]: tuple(r["shape"]) for r in rows} == expected_shapes(preset(name))


def test_our_own_names_stay() -> None:
    names = list(expected_shapes(preset("Panoptic/R_50_1x")))
    assert our_names(names) == {name: name for name in names}


def test_old_name_of_centerness_is_understood() -> None:
    old = "proposal_generator.fcos_head.centerness.weight"
    assert our_names([old]) == {old: "fcos_head.ctrness.weight"}


def test_maskrcnn_benchmark_names_are_understood() -> None:
    wanted = {
        "backbone.body.stem.conv1.weight": "backbone.bottom_up.stem.conv1.weight",
        "backbone.body.stem.bn1.bias": "backbone.bottom_up.stem.conv1.norm.bias",
        "backbone.body.layer1.0.downsample.0.weight": ("backbone.bottom_up.res2.0.shortcut.weight"),
        "backbone.body.layer4.2.bn3.weight": ("backbone.bottom_up.res5.2.conv3.norm.weight"),
        "backbone.fpn.fpn_inner2.weight": "backbone.fpn_lateral3.weight",
        "backbone.fpn.fpn_layer4.bias": "backbone.fpn_output5.bias",
        "backbone.fpn.top_blocks.p6.weight": "backbone.top_block.p6.weight",
        "rpn.head.cls_tower.0.weight": "fcos_head.cls_tower.0.weight",
        "rpn.head.centerness.bias": "fcos_head.ctrness.bias",
    }
    assert our_names(wanted) == wanted


def test_two_names_for_one_tensor_are_refused() -> None:
    with pytest.raises(ValueError, match=r"both our 'fcos_head\.ctrness\.bias'"):
        our_names(
            [
                "proposal_generator.fcos_head.ctrness.bias",
                "proposal_generator.fcos_head.centerness.bias",
            ]
        )


def test_backbone_is_told_from_a_whole_network() -> None:
    assert is_backbone_only(["conv1_w", "res_conv1_bn_s", "fc1000_w"])
    assert is_backbone_only(["base_layer.0.weight", "level5.root.conv.weight", "fc.bias"])
    assert not is_backbone_only(expected_shapes(preset("R_50_1x")))
    assert not is_backbone_only(["something.else"])


def _pickled(path: Path, arrays: dict[str, Any]) -> Path:
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path


@pytest.mark.parametrize("wrapped", [False, True])
def test_caffe2_names_become_ours_as_the_original_maps_them(tmp_path: Path, wrapped: bool) -> None:
    mapping = goldens.read("_train/checkpoint_conversion")["R_101_dcni3_5x"]["mapping"]
    arrays = {name: np.full(2, i, np.float32) for i, name in enumerate(mapping)}
    extra = {"conv1_w_momentum": np.ones(1, np.float32), "weight_order": ["conv1_w"]}
    content = {**arrays, **extra}
    path = _pickled(tmp_path / "R-101.pkl", {"blobs": content} if wrapped else content)
    tensors = backbone_tensors(path)
    for old, new in mapping.items():
        if new.startswith("backbone."):
            assert torch.equal(tensors.pop(new), torch.from_numpy(arrays[old])), old
    assert {name.rpartition(".")[2] for name in tensors} == {"running_mean", "running_var"}


def test_missing_statistics_become_mean_0_and_variance_1(tmp_path: Path) -> None:
    arrays = {
        "conv1_w": np.ones((64, 3, 7, 7), np.float32),
        "res_conv1_bn_s": np.full(64, 3, np.float32),
        "res_conv1_bn_b": np.full(64, 4, np.float32),
    }
    tensors = backbone_tensors(_pickled(tmp_path / "R-50.pkl", arrays))
    norm = "backbone.bottom_up.stem.conv1.norm."
    assert tensors[f"{norm}running_mean"].unique().tolist() == [0.0]
    assert tensors[f"{norm}running_var"].unique().tolist() == [1.0]
    assert tensors[f"{norm}weight"].unique().tolist() == [3.0]


def test_dla_file_fills_the_whole_backbone(tmp_path: Path) -> None:
    keys = goldens.read("_train/checkpoint_conversion")["DLA_34_syncbn_4x"]["source_keys"]
    with torch.device("meta"):
        wanted = build_backbone(BackboneConfig(kind="dla34", norm="sync_bn")).state_dict()
    shapes = {k: wanted[k].shape if k in wanted else (10,) for k in keys}
    path = tmp_path / "dla34-ba72cf86.pth"
    torch.save({k: torch.zeros(s) for k, s in shapes.items()}, path)
    tensors = backbone_tensors(path)
    assert tensors.keys() == {f"backbone.bottom_up.{name}" for name in wanted}


def test_detectron2_backbone_keeps_its_statistics(tmp_path: Path) -> None:
    arrays = {
        "stem.conv1.weight": np.ones((64, 3, 7, 7), np.float32),
        "stem.conv1.norm.weight": np.ones(64, np.float32),
        "stem.conv1.norm.running_var": np.full(64, 9, np.float32),
    }
    path = _pickled(tmp_path / "R-50.pkl", {"model": arrays, "matching_heuristics": True})
    tensors = backbone_tensors(path)
    norm = "backbone.bottom_up.stem.conv1.norm."
    assert tensors[f"{norm}running_var"].unique().tolist() == [9.0]
    assert tensors[f"{norm}running_mean"].unique().tolist() == [0.0]


def test_backbone_of_a_whole_network_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"
    torch.save(
        {
            "model": {
                "backbone.bottom_up.res2.0.conv1.weight": torch.ones(1),
                "top_layer.bias": torch.ones(1),
            }
        },
        path,
    )
    assert list(backbone_tensors(path)) == ["backbone.bottom_up.res2.0.conv1.weight"]


def test_file_that_is_no_backbone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg.pth"
    torch.save({"features_0.weight": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"no backbone that BlendMask stands on .* features_0"):
        backbone_tensors(path)
