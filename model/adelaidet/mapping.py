"""AdelaiDet's options, once merged, to a `ModelConfig` and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.adelaidet.options import defaults
from model.adelaidet.support import (
    BACKBONES,
    BATCH_NORMS,
    CHANNELS,
    DEFORMABLE_STAGES,
    POOLERS,
    TOWER_NORMS,
    Options,
    backbone_levels,
    check_supported,
)
from model.config import (
    BackboneConfig,
    BasisConfig,
    BlenderConfig,
    DetectionConfig,
    FCOSConfig,
    FPNConfig,
    InputConfig,
    ModelConfig,
    PanopticConfig,
    SemanticConfig,
)

_NO_LIMIT = 2**31 - 1

# Options that are one member of one part, as they are.
_MEMBERS: dict[str, tuple[tuple[str, str], ...]] = {
    "input": (
        ("short_side", "INPUT.MIN_SIZE_TEST"),
        ("max_side", "INPUT.MAX_SIZE_TEST"),
    ),
    "fpn": (
        ("channels", "MODEL.FPN.OUT_CHANNELS"),
        ("num_top_levels", "MODEL.FCOS.TOP_LEVELS"),
        ("fuse", "MODEL.FPN.FUSE_TYPE"),
    ),
    "fcos": (
        ("num_classes", "MODEL.FCOS.NUM_CLASSES"),
        ("num_share_convs", "MODEL.FCOS.NUM_SHARE_CONVS"),
        ("num_class_convs", "MODEL.FCOS.NUM_CLS_CONVS"),
        ("num_box_convs", "MODEL.FCOS.NUM_BOX_CONVS"),
        ("use_scale", "MODEL.FCOS.USE_SCALE"),
    ),
    "basis": (
        ("num_bases", "MODEL.BASIS_MODULE.NUM_BASES"),
        ("channels", "MODEL.BASIS_MODULE.CONVS_DIM"),
        ("num_convs", "MODEL.BASIS_MODULE.NUM_CONVS"),
    ),
    "blender": (
        ("attention_size", "MODEL.BLENDMASK.ATTN_SIZE"),
        ("attention_interpolation", "MODEL.BLENDMASK.TOP_INTERP"),
        ("mask_size", "MODEL.BLENDMASK.BOTTOM_RESOLUTION"),
        ("sampling_ratio", "MODEL.BLENDMASK.POOLER_SAMPLING_RATIO"),
    ),
    "semantic": (
        ("num_classes", "MODEL.SEM_SEG_HEAD.NUM_CLASSES"),
        ("channels", "MODEL.SEM_SEG_HEAD.CONVS_DIM"),
    ),
    "detection": (
        ("candidate_threshold", "MODEL.FCOS.INFERENCE_TH_TEST"),
        ("threshold_with_centerness", "MODEL.FCOS.THRESH_WITH_CTR"),
    ),
    "panoptic": (
        ("max_overlap", "MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH"),
        ("instance_score_threshold", "MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH"),
        ("min_stuff_area", "MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT"),
    ),
}


def to_model_config(options: Options, name: str) -> ModelConfig:
    """Return the configuration that a complete set of options describes.

    Raises:
        ValueError: an option has a value that this network cannot follow, or options disagree.
    """
    check_supported(options)
    is_panoptic = bool(options["MODEL.PANOPTIC_FPN.COMBINE.ENABLED"])
    auxiliary = options["MODEL.BASIS_MODULE.NUM_CLASSES"]
    return ModelConfig(
        name=name,
        input=InputConfig(
            **_members(options, "input"),
            channels=CHANNELS[options["INPUT.FORMAT"]],
            pixel_mean=_triple(options, "MODEL.PIXEL_MEAN"),
            pixel_std=_triple(options, "MODEL.PIXEL_STD"),
        ),
        backbone=_backbone(options),
        fpn=FPNConfig(**_members(options, "fpn")),
        fcos=FCOSConfig(
            **_members(options, "fcos"),
            norm=TOWER_NORMS[options["MODEL.FCOS.NORM"]],
        ),
        basis=BasisConfig(
            **_members(options, "basis"),
            norm=BATCH_NORMS[options["MODEL.BASIS_MODULE.NORM"]],
            auxiliary_classes=auxiliary if options["MODEL.BASIS_MODULE.LOSS_ON"] else None,
        ),
        blender=BlenderConfig(
            **_members(options, "blender"),
            aligned=POOLERS[options["MODEL.BLENDMASK.POOLER_TYPE"]],
        ),
        semantic=SemanticConfig(**_members(options, "semantic")) if is_panoptic else None,
        detection=_detection(options),
        panoptic=PanopticConfig(**_members(options, "panoptic"))
        if is_panoptic
        else PanopticConfig(),
    )


def options_of(config: ModelConfig) -> dict[str, Any]:
    """Return the options that `to_model_config` turns into this configuration.

    Raises:
        ValueError: AdelaiDet has no options for its backbone.
    """
    backbone, detection = config.backbone, config.detection
    builders = {kind: builder for builder, kind in BACKBONES.items()}
    if backbone.kind not in builders:
        raise ValueError(
            f"AdelaiDet's options cannot describe a {backbone.kind} backbone, so none can be "
            f"overridden in {config.name}"
        )
    options = {**defaults(), **_levels_of(config)}
    for part, members in _MEMBERS.items():
        record = getattr(config, part)
        if record is not None and (part != "panoptic" or config.is_panoptic):
            options |= {key: getattr(record, member) for member, key in members}
    options |= {
        "INPUT.FORMAT": _key(CHANNELS, config.input.channels),
        "MODEL.PIXEL_MEAN": list(config.input.pixel_mean),
        "MODEL.PIXEL_STD": list(config.input.pixel_std),
        "MODEL.BACKBONE.NAME": builders[backbone.kind],
        "MODEL.RESNETS.DEPTH": backbone.depth,
        "MODEL.RESNETS.STRIDE_IN_1X1": backbone.stride_in_1x1,
        "MODEL.RESNETS.NORM": _key(BATCH_NORMS, backbone.norm),
        "MODEL.DLA.NORM": _key(BATCH_NORMS, backbone.norm),
        "MODEL.FCOS.NORM": _key(TOWER_NORMS, config.fcos.norm),
        "MODEL.FCOS.NMS_TH": detection.nms_threshold,
        "MODEL.FCOS.PRE_NMS_TOPK_TEST": detection.max_candidates_per_level,
        "MODEL.FCOS.POST_NMS_TOPK_TEST": detection.max_instances or 0,
        "MODEL.BLENDMASK.POOLER_TYPE": _key(POOLERS, config.blender.aligned),
        "MODEL.BASIS_MODULE.NORM": _key(BATCH_NORMS, config.basis.norm),
        "MODEL.BASIS_MODULE.LOSS_ON": config.basis.auxiliary_classes is not None,
        "MODEL.BASIS_MODULE.NUM_CLASSES": config.basis.auxiliary_classes or 80,
    }
    if backbone.deformable_interval is not None:
        options |= {
            "MODEL.RESNETS.DEFORM_ON_PER_STAGE": DEFORMABLE_STAGES,
            "MODEL.RESNETS.DEFORM_MODULATED": True,
            "MODEL.RESNETS.DEFORM_INTERVAL": backbone.deformable_interval,
        }
    return options


def _levels_of(config: ModelConfig) -> dict[str, Any]:
    inputs = backbone_levels(config.backbone.kind, is_panoptic=config.is_panoptic)
    return {
        "MODEL.RESNETS.OUT_FEATURES": inputs,
        "MODEL.FPN.IN_FEATURES": inputs,
        "MODEL.FCOS.IN_FEATURES": [f"p{3 + k}" for k in range(len(config.strides))],
        "MODEL.FCOS.FPN_STRIDES": list(config.strides),
        "MODEL.PANOPTIC_FPN.COMBINE.ENABLED": config.is_panoptic,
    }


def _backbone(options: Options) -> BackboneConfig:
    if BACKBONES[options["MODEL.BACKBONE.NAME"]] == "dla34":
        norm = BATCH_NORMS[options["MODEL.DLA.NORM"]]
        return BackboneConfig(kind="dla34", norm=norm)
    is_deformable = options["MODEL.RESNETS.DEFORM_ON_PER_STAGE"] == DEFORMABLE_STAGES
    return BackboneConfig(
        depth=options["MODEL.RESNETS.DEPTH"],
        norm=BATCH_NORMS[options["MODEL.RESNETS.NORM"]],
        stride_in_1x1=options["MODEL.RESNETS.STRIDE_IN_1X1"],
        deformable_interval=options["MODEL.RESNETS.DEFORM_INTERVAL"] if is_deformable else None,
    )


def _detection(options: Options) -> DetectionConfig:
    candidates = options["MODEL.FCOS.PRE_NMS_TOPK_TEST"]
    instances = options["MODEL.FCOS.POST_NMS_TOPK_TEST"]
    return DetectionConfig(
        **_members(options, "detection"),
        max_candidates_per_level=candidates if candidates > 0 else _NO_LIMIT,
        nms_threshold=max(0.0, options["MODEL.FCOS.NMS_TH"]),
        max_instances=instances if instances > 0 else None,
    )


def _members(options: Options, part: str) -> dict[str, Any]:
    return {member: options[key] for member, key in _MEMBERS[part]}


def _triple(options: Options, key: str) -> tuple[float, float, float]:
    values = options[key]
    if len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise ValueError(f"{key} is {values}; it must be three numbers")
    return float(values[0]), float(values[1]), float(values[2])


def _key(table: Mapping[str, Any], value: Any) -> str:
    return next(key for key, v in table.items() if v == value)
