from __future__ import annotations

import pytest
import torch

from model.checkpoints.fit import check_fit, expected_shapes, infer_config
from model.checkpoints.other_networks import other_network
from model.checkpoints.tensor_names import our_names
from model.presets import PRESETS, preset

_D2 = ["backbone.bottom_up.stem.conv1.weight", "backbone.fpn_lateral3.weight"]
_FCOS = [*_D2, "proposal_generator.fcos_head.cls_logits.weight"]


@pytest.mark.parametrize(
    ("names", "network"),
    [
        (_FCOS, "FCOS"),
        ([*_FCOS, "mask_branch.refine.0.0.weight", "controller.weight"], "CondInst or BoxInst"),
        (
            [*_D2, "roi_heads.box_predictor.cls_score.weight", "roi_heads.mask_head.deconv.weight"],
            "Mask R-CNN",
        ),
        (
            ["backbone.body.layer1.0.conv1.weight", "roi_heads.mask_predictor.x.weight"],
            "Mask R-CNN",
        ),
        ([*_D2, "roi_heads.box_predictor.cls_score.weight"], "Faster R-CNN"),
        ([*_D2, "head.cls_score.weight"], "RetinaNet"),
        (["backbone.layer1.0.conv1.weight", "neck.fpn_convs.0.conv.weight"], "mmdetection"),
        (["0.conv.weight", "22.cv2.0.0.conv.weight"], "YOLO"),
        (["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], "ImageNet ResNet of torchvision"),
    ],
)
def test_weights_of_other_networks_are_told_what_they_are(names: list[str], network: str) -> None:
    tensors = {new: torch.empty(1, device="meta") for new in our_names(names).values()}
    with pytest.raises(ValueError, match=f"the weights are of .*{network}") as caught:
        infer_config(tensors)
    assert "DLA" not in str(caught.value)
    with pytest.raises(ValueError, match=f"the weights are of .*{network}"):
        check_fit(tensors, preset("R_50_1x"))


def test_backbone_of_another_network_is_said_to_be_a_start() -> None:
    message = other_network(our_names(_FCOS).values())
    assert message is not None
    assert message.endswith("can start a training of one: --backbone-weights")


@pytest.mark.parametrize("name", PRESETS)
def test_a_blendmask_network_is_no_other(name: str) -> None:
    assert other_network(expected_shapes(preset(name))) is None
