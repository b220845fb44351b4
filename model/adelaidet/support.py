"""What this network can follow of AdelaiDet's options: the words it knows, and the refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from model.config import BatchNormKind, TowerNormKind

Options = Mapping[str, Any]

# AdelaiDet's words, and ours.
BACKBONES: dict[str, Literal["resnet", "dla34"]] = {
    "build_fcos_resnet_fpn_backbone": "resnet",
    "build_fcos_dla_fpn_backbone": "dla34",
}
BATCH_NORMS: dict[str, BatchNormKind] = {
    "FrozenBN": "frozen_bn",
    "BN": "bn",
    "SyncBN": "sync_bn",
    "naiveSyncBN": "sync_bn",
    "nnSyncBN": "sync_bn",
}
TOWER_NORMS: dict[str, TowerNormKind] = {
    "GN": "gn",
    "NaiveGN": "gn",
    "BN": "bn",
    "SyncBN": "sync_bn",
    "none": "none",
}
CHANNELS: dict[str, Literal["bgr", "rgb"]] = {"BGR": "bgr", "RGB": "rgb"}
POOLERS = {"ROIAlignV2": True, "ROIAlign": False}
DEFORMABLE_STAGES = [False, True, True, True]

_NUM_GROUPS = 32  # of group normalisation

# Options that would change the result: the values that this network can follow.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "MODEL.META_ARCHITECTURE": ("BlendMask",),
    "MODEL.MASK_ON": (True,),
    "MODEL.MOBILENET": (False,),
    "MODEL.FCPOSE_ON": (False,),
    "MODEL.BOXINST.ENABLED": (False,),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("FCOS",),
    "MODEL.BACKBONE.NAME": tuple(BACKBONES),
    "MODEL.BACKBONE.ANTI_ALIAS": (False,),
    "MODEL.FPN.NORM": ("",),
    "MODEL.FPN.FUSE_TYPE": ("sum", "avg"),
    "MODEL.FCOS.TOP_LEVELS": (0, 1, 2),
    "MODEL.FCOS.NORM": tuple(TOWER_NORMS),
    "MODEL.FCOS.USE_DEFORMABLE": (False,),
    "MODEL.FCOS.BOX_QUALITY": ("ctrness",),
    "MODEL.FCOS.YIELD_PROPOSAL": (False,),
    "MODEL.FCOS.YIELD_BOX_FEATURES": (False,),
    "MODEL.BLENDMASK.TOP_INTERP": ("bilinear", "nearest"),
    "MODEL.BLENDMASK.POOLER_TYPE": tuple(POOLERS),
    "MODEL.BLENDMASK.POOLER_SCALES": ([0.25],),
    "MODEL.BASIS_MODULE.NAME": ("ProtoNet",),
    "MODEL.BASIS_MODULE.IN_FEATURES": (["p3", "p4", "p5"],),
    "MODEL.BASIS_MODULE.COMMON_STRIDE": (8,),
    "MODEL.BASIS_MODULE.NORM": tuple(BATCH_NORMS),
    "INPUT.FORMAT": tuple(CHANNELS),
}
_SUPPORTED_RESNET: dict[str, tuple[Any, ...]] = {
    "MODEL.RESNETS.DEPTH": (50, 101),
    "MODEL.RESNETS.NORM": tuple(BATCH_NORMS),
    "MODEL.RESNETS.NUM_GROUPS": (1,),
    "MODEL.RESNETS.WIDTH_PER_GROUP": (64,),
    "MODEL.RESNETS.RES5_DILATION": (1,),
    "MODEL.RESNETS.RES2_OUT_CHANNELS": (256,),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": (64,),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": ([False] * 4, DEFORMABLE_STAGES),
}
_SUPPORTED_DEFORMABLE: dict[str, tuple[Any, ...]] = {
    "MODEL.RESNETS.DEFORM_MODULATED": (True,),
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": (1,),
}
_SUPPORTED_DLA: dict[str, tuple[Any, ...]] = {
    "MODEL.DLA.CONV_BODY": ("DLA34",),
    "MODEL.DLA.NORM": tuple(BATCH_NORMS),
}
_SUPPORTED_PANOPTIC: dict[str, tuple[Any, ...]] = {
    "MODEL.SEM_SEG_HEAD.NAME": ("SemSegFPNHead",),
    "MODEL.SEM_SEG_HEAD.IN_FEATURES": (["p2", "p3", "p4", "p5"],),
    "MODEL.SEM_SEG_HEAD.COMMON_STRIDE": (4,),
    "MODEL.SEM_SEG_HEAD.NORM": ("GN",),
}


def check_supported(options: Options) -> None:
    """Refuse what would change the result in a way that this network cannot follow.

    Raises:
        ValueError: names the option, its value and the values that are supported.
    """
    is_panoptic = options["MODEL.PANOPTIC_FPN.COMBINE.ENABLED"]
    _check(options, _SUPPORTED)
    if BACKBONES[options["MODEL.BACKBONE.NAME"]] == "dla34":
        _check(options, _SUPPORTED_DLA)
    else:
        _check(options, _SUPPORTED_RESNET)
        if options["MODEL.RESNETS.DEFORM_ON_PER_STAGE"] == DEFORMABLE_STAGES:
            _check(options, _SUPPORTED_DEFORMABLE)
    if is_panoptic:
        _check(options, _SUPPORTED_PANOPTIC)
    _check_groups(options, is_panoptic=is_panoptic)
    _check_levels(options, is_panoptic=is_panoptic)


def backbone_levels(kind: str, *, is_panoptic: bool) -> list[str]:
    """Return the backbone's outputs that the pyramid stands on, by AdelaiDet's names."""
    stage = "level" if kind == "dla34" else "res"
    return [f"{stage}{k}" for k in range(2 if is_panoptic else 3, 6)]


def _check_groups(options: Options, *, is_panoptic: bool) -> None:
    """Refuse channels that group normalisation cannot divide."""
    keys = ["MODEL.FPN.OUT_CHANNELS"] if TOWER_NORMS[options["MODEL.FCOS.NORM"]] == "gn" else []
    keys += ["MODEL.SEM_SEG_HEAD.CONVS_DIM"] if is_panoptic else []
    for key in keys:
        if options[key] < _NUM_GROUPS or options[key] % _NUM_GROUPS:
            raise ValueError(f"{key} is {options[key]}; it must be a multiple of {_NUM_GROUPS}")


def _check_levels(options: Options, *, is_panoptic: bool) -> None:
    """Refuse levels that do not agree with each other."""
    kind = BACKBONES[options["MODEL.BACKBONE.NAME"]]
    inputs = backbone_levels(kind, is_panoptic=is_panoptic)
    top_levels = options["MODEL.FCOS.TOP_LEVELS"]
    wanted = {
        "MODEL.FPN.IN_FEATURES": inputs,
        "MODEL.FCOS.IN_FEATURES": [f"p{3 + k}" for k in range(3 + top_levels)],
        "MODEL.FCOS.FPN_STRIDES": [8 * 2**k for k in range(3 + top_levels)],
    }
    for key, value in wanted.items():
        if options[key] != value:
            raise ValueError(
                f"{key} is {options[key]}; with MODEL.FCOS.TOP_LEVELS {top_levels} and "
                f"MODEL.PANOPTIC_FPN.COMBINE.ENABLED {is_panoptic} only {value} is supported"
            )
    missing = [k for k in inputs if k not in options["MODEL.RESNETS.OUT_FEATURES"]]
    if kind == "resnet" and missing:
        raise ValueError(
            f"MODEL.RESNETS.OUT_FEATURES is {options['MODEL.RESNETS.OUT_FEATURES']}; "
            f"MODEL.FPN.IN_FEATURES needs {missing[0]} too"
        )


def _check(options: Options, supported: Mapping[str, tuple[Any, ...]]) -> None:
    for key, values in supported.items():
        if options[key] not in values:
            allowed = " or ".join(map(repr, values))
            raise ValueError(f"{key} is {options[key]!r}; only {allowed} is supported")
