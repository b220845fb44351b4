from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from model.config import BackboneConfig, DetectionConfig, FCOSConfig, FPNConfig, ModelConfig
from model.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_json(name: str) -> None:
    config = preset(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_member_is_named_with_the_nearest_known_one() -> None:
    data = preset("R_50_1x").to_dict()
    data["fcos"]["num_clases"] = 3
    with pytest.raises(ValueError, match=r"fcos.'num_clases'; did you mean fcos.'num_classes'"):
        ModelConfig.from_dict(data)


def test_missing_member_is_named() -> None:
    with pytest.raises(ValueError, match="'name' is missing"):
        ModelConfig.from_dict({})


def test_part_that_is_no_object_is_named() -> None:
    with pytest.raises(ValueError, match="'fcos' must be an object"):
        ModelConfig.from_dict({"name": "x", "fcos": 3})


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"backbone.depth is 34; it must be 50 or 101"):
        BackboneConfig(depth=34)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="candidate_threshold is 2"):
        DetectionConfig(candidate_threshold=2)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="R_50_3x"):
        preset("R50_3x")


def test_strides_follow_the_number_of_levels() -> None:
    assert preset("R_50_1x").strides == (8, 16, 32, 64, 128)
    assert preset("DLA_34_syncbn_4x").strides == (8, 16, 32)


def test_panoptic_is_what_has_a_semantic_head() -> None:
    config = preset("Panoptic/R_50_1x")
    assert config.is_panoptic
    assert not replace(config, semantic=None).is_panoptic


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fpn": FPNConfig(kind="pan", num_top_levels=0)}, "'pan' on a 'csp_net' backbone"),
        ({"backbone": BackboneConfig(kind="csp_net")}, "'pan' on a 'csp_net' backbone"),
        (
            {"backbone": BackboneConfig(kind="csp_net"), "fpn": FPNConfig(kind="pan")},
            "fpn.num_top_levels is 2; it must be 0 where",
        ),
    ],
)
def test_neck_and_backbone_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(name="mine", **changes)


def test_head_needs_two_bins() -> None:
    with pytest.raises(ValueError, match=r"fcos.num_bins is 1; it must be 2 or more"):
        FCOSConfig(kind="quality", num_bins=1)


def test_partition_has_a_threshold_below_which_nobody_can_ask() -> None:
    released = preset("Panoptic/R_50_1x")
    assert released.detection.score_threshold == 0.3
    assert [released.panoptic_threshold(asked) for asked in (0.3, 0.6)] == [0.45, 0.6]
    mine = released.with_score_threshold(0.2)
    assert mine.detection.score_threshold == 0.2
    assert [mine.panoptic_threshold(asked) for asked in (0.1, 0.3)] == [0.2, 0.3]


def test_score_threshold_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"detection.score_threshold is 1.5; it must be between"):
        DetectionConfig(score_threshold=1.5)
