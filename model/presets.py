"""The released configurations, by the names their users know (paper's model zoo)."""

from __future__ import annotations

import difflib
from dataclasses import replace

from model.config import (
    BackboneConfig,
    BasisConfig,
    FCOSConfig,
    FPNConfig,
    InputConfig,
    ModelConfig,
    SemanticConfig,
)

_R50 = BackboneConfig(depth=50)
_R101 = BackboneConfig(depth=101)
_R50_DCN = replace(_R50, deformable_interval=3)
_R101_DCN = replace(_R101, deformable_interval=3)
_R50_BN = replace(_R50, norm="sync_bn")

# The fast configurations share one tower of three convolutions between classes and boxes.
_SHARED_TOWER = FCOSConfig(num_share_convs=3, num_class_convs=0, num_box_convs=0)
_SHORT_BASIS = BasisConfig(num_convs=2)


def _full(name: str, backbone: BackboneConfig) -> ModelConfig:
    return ModelConfig(name=name, backbone=backbone)


def _550(name: str, backbone: BackboneConfig) -> ModelConfig:
    return ModelConfig(
        name=name,
        input=InputConfig(short_side=550, max_side=916),
        backbone=backbone,
        fpn=FPNConfig(num_top_levels=1),
        fcos=_SHARED_TOWER,
        basis=_SHORT_BASIS,
    )


def _real_time(
    name: str, backbone: BackboneConfig, fcos: FCOSConfig, basis: BasisConfig
) -> ModelConfig:
    return ModelConfig(
        name=name,
        input=InputConfig(short_side=512, max_side=736),
        backbone=backbone,
        fpn=FPNConfig(num_top_levels=0),
        fcos=fcos,
        basis=basis,
    )


def _panoptic(name: str, backbone: BackboneConfig) -> ModelConfig:
    return ModelConfig(name=name, backbone=backbone, semantic=SemanticConfig())


PRESETS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        _full("R_50_1x", _R50),
        _full("R_50_3x", _R50),
        _full("R_101_3x", _R101),
        _full("R_101_dcni3_5x", _R101_DCN),
        _550("550_R_50_1x", _R50),
        _550("550_R_50_3x", _R50),
        _550("550_R_50_dcni3_5x", _R50_DCN),
        _real_time("RT_R_50_4x_syncbn_shtw", _R50_BN, _SHARED_TOWER, _SHORT_BASIS),
        _real_time(
            "RT_R_50_4x_bn-head_syncbn_shtw",
            _R50_BN,
            replace(_SHARED_TOWER, norm="sync_bn"),
            _SHORT_BASIS,
        ),
        _real_time(
            "DLA_34_syncbn_4x",
            BackboneConfig(kind="dla34", norm="sync_bn"),
            FCOSConfig(),
            BasisConfig(),
        ),
        replace(
            _full("Person/R_50_1x", _R50),
            fcos=FCOSConfig(num_classes=1),
            basis=BasisConfig(auxiliary_classes=1),
        ),
        _panoptic("Panoptic/R_50_1x", _R50),
        _panoptic("Panoptic/R_50_3x", _R50),
        _panoptic("Panoptic/R_50_dcni3_5x", _R50_DCN),
        _panoptic("Panoptic/R_101_3x", _R101),
        _panoptic("Panoptic/R_101_dcni3_5x", _R101_DCN),
    )
}


def preset(name: str) -> ModelConfig:
    """Return the released configuration of that name.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3, cutoff=0.4)
        raise ValueError(
            f"no released configuration is called {name!r}; "
            + (f"the nearest: {', '.join(near)}" if near else f"there are: {', '.join(PRESETS)}")
        )
    return PRESETS[name]
