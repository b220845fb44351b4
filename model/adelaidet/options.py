"""AdelaiDet's options: which there are, their values in a BlendMask configuration, what they do.

The defaults are those that the released configurations start from: detectron2's, AdelaiDet's
and `Base-BlendMask.yaml`'s together (spec, section 1). A file without `_BASE_` gets them too,
so a short BlendMask file means what its author expects, and a complete one (the `config.yaml`
that a training leaves in its folder) sets every option itself.
"""

from __future__ import annotations

import difflib
from typing import Any

# What prediction reads, or must refuse.
_READ: dict[str, Any] = {
    "MODEL.META_ARCHITECTURE": "BlendMask",
    "MODEL.MASK_ON": True,
    "MODEL.PIXEL_MEAN": [103.53, 116.28, 123.675],
    "MODEL.PIXEL_STD": [1.0, 1.0, 1.0],
    "MODEL.MOBILENET": False,
    "MODEL.FCPOSE_ON": False,
    "MODEL.BOXINST.ENABLED": False,
    "MODEL.PROPOSAL_GENERATOR.NAME": "FCOS",
    "MODEL.BACKBONE.NAME": "build_fcos_resnet_fpn_backbone",
    "MODEL.BACKBONE.ANTI_ALIAS": False,
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.OUT_FEATURES": ["res3", "res4", "res5"],
    "MODEL.RESNETS.NUM_GROUPS": 1,
    "MODEL.RESNETS.NORM": "FrozenBN",
    "MODEL.RESNETS.WIDTH_PER_GROUP": 64,
    "MODEL.RESNETS.STRIDE_IN_1X1": True,
    "MODEL.RESNETS.RES5_DILATION": 1,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 64,
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, False, False, False],
    "MODEL.RESNETS.DEFORM_MODULATED": False,
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": 1,
    "MODEL.RESNETS.DEFORM_INTERVAL": 1,
    "MODEL.DLA.CONV_BODY": "DLA34",
    "MODEL.DLA.NORM": "FrozenBN",
    "MODEL.FPN.IN_FEATURES": ["res3", "res4", "res5"],
    "MODEL.FPN.OUT_CHANNELS": 256,
    "MODEL.FPN.NORM": "",
    "MODEL.FPN.FUSE_TYPE": "sum",
    "MODEL.FCOS.NUM_CLASSES": 80,
    "MODEL.FCOS.IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
    "MODEL.FCOS.FPN_STRIDES": [8, 16, 32, 64, 128],
    "MODEL.FCOS.TOP_LEVELS": 2,
    "MODEL.FCOS.NORM": "GN",
    "MODEL.FCOS.USE_SCALE": False,
    "MODEL.FCOS.USE_DEFORMABLE": False,
    "MODEL.FCOS.NUM_CLS_CONVS": 4,
    "MODEL.FCOS.NUM_BOX_CONVS": 4,
    "MODEL.FCOS.NUM_SHARE_CONVS": 0,
    "MODEL.FCOS.BOX_QUALITY": "ctrness",
    "MODEL.FCOS.THRESH_WITH_CTR": True,
    "MODEL.FCOS.INFERENCE_TH_TEST": 0.05,
    "MODEL.FCOS.NMS_TH": 0.6,
    "MODEL.FCOS.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.FCOS.POST_NMS_TOPK_TEST": 100,
    "MODEL.FCOS.YIELD_PROPOSAL": False,
    "MODEL.FCOS.YIELD_BOX_FEATURES": False,
    "MODEL.BLENDMASK.ATTN_SIZE": 14,
    "MODEL.BLENDMASK.TOP_INTERP": "bilinear",
    "MODEL.BLENDMASK.BOTTOM_RESOLUTION": 56,
    "MODEL.BLENDMASK.POOLER_TYPE": "ROIAlignV2",
    "MODEL.BLENDMASK.POOLER_SAMPLING_RATIO": 1,
    "MODEL.BLENDMASK.POOLER_SCALES": [0.25],
    "MODEL.BASIS_MODULE.NAME": "ProtoNet",
    "MODEL.BASIS_MODULE.NUM_BASES": 4,
    "MODEL.BASIS_MODULE.LOSS_ON": True,
    "MODEL.BASIS_MODULE.CONVS_DIM": 128,
    "MODEL.BASIS_MODULE.IN_FEATURES": ["p3", "p4", "p5"],
    "MODEL.BASIS_MODULE.NORM": "SyncBN",
    "MODEL.BASIS_MODULE.NUM_CONVS": 3,
    "MODEL.BASIS_MODULE.COMMON_STRIDE": 8,
    "MODEL.BASIS_MODULE.NUM_CLASSES": 80,
    "MODEL.PANOPTIC_FPN.COMBINE.ENABLED": False,
    "MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH": 0.5,
    "MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT": 4096,
    "MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH": 0.5,
    "MODEL.SEM_SEG_HEAD.NAME": "SemSegFPNHead",
    "MODEL.SEM_SEG_HEAD.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.SEM_SEG_HEAD.NUM_CLASSES": 54,
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 128,
    "MODEL.SEM_SEG_HEAD.COMMON_STRIDE": 4,
    "MODEL.SEM_SEG_HEAD.NORM": "GN",
    "INPUT.MIN_SIZE_TEST": 800,
    "INPUT.MAX_SIZE_TEST": 1333,
    "INPUT.FORMAT": "BGR",
}

# What only training and evaluation read, or nothing at all; a dot at the end: a whole section.
_UNREAD = (
    "CUDNN_BENCHMARK",
    "DATALOADER.",
    "DATASETS.",
    "FLOAT32_PRECISION",
    "GLOBAL.",
    "INPUT.CROP.",
    "INPUT.HFLIP_TRAIN",
    "INPUT.IS_ROTATE",
    "INPUT.MASK_FORMAT",
    "INPUT.MAX_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TRAIN_SAMPLING",
    "INPUT.RANDOM_FLIP",
    "MODEL.ANCHOR_GENERATOR.",
    "MODEL.BACKBONE.FREEZE_AT",
    "MODEL.BASIS_MODULE.ANN_SET",
    "MODEL.BASIS_MODULE.LOSS_WEIGHT",
    "MODEL.BATEXT.",
    "MODEL.BLENDMASK.INSTANCE_LOSS_WEIGHT",
    "MODEL.BLENDMASK.VISUALIZE",
    "MODEL.BOXINST.",
    "MODEL.BiFPN.",
    "MODEL.CONDINST.",
    "MODEL.DEVICE",
    "MODEL.DLA.OUT_FEATURES",
    "MODEL.FCOS.CENTER_SAMPLE",
    "MODEL.FCOS.INFERENCE_TH_TRAIN",
    "MODEL.FCOS.LOC_LOSS_TYPE",
    "MODEL.FCOS.LOSS_ALPHA",
    "MODEL.FCOS.LOSS_GAMMA",
    "MODEL.FCOS.LOSS_NORMALIZER_CLS",
    "MODEL.FCOS.LOSS_WEIGHT_CLS",
    "MODEL.FCOS.POS_RADIUS",
    "MODEL.FCOS.POST_NMS_TOPK_TRAIN",
    "MODEL.FCOS.PRE_NMS_TOPK_TRAIN",
    "MODEL.FCOS.PRIOR_PROB",
    "MODEL.FCOS.SIZES_OF_INTEREST",
    "MODEL.FCOS.USE_RELU",
    "MODEL.FCPOSE.",
    "MODEL.KEYPOINT_ON",
    "MODEL.LOAD_PROPOSALS",
    "MODEL.MEInst.",
    "MODEL.PANOPTIC_FPN.INSTANCE_LOSS_WEIGHT",
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE",
    "MODEL.RETINANET.",
    "MODEL.ROI_BOX_CASCADE_HEAD.",
    "MODEL.ROI_BOX_HEAD.",
    "MODEL.ROI_HEADS.",
    "MODEL.ROI_KEYPOINT_HEAD.",
    "MODEL.ROI_MASK_HEAD.",
    "MODEL.RPN.",
    "MODEL.SEM_SEG_HEAD.IGNORE_VALUE",
    "MODEL.SEM_SEG_HEAD.LOSS_WEIGHT",
    "MODEL.SOLOV2.",
    "MODEL.TOP_MODULE.",
    "MODEL.TRANSFORMER.",
    "MODEL.VOVNET.",
    "MODEL.WEIGHTS",
    "OUTPUT_DIR",
    "SEED",
    "SOLVER.",
    "TEST.",
    "VERSION",
    "VIS_PERIOD",
)

_KINDS: tuple[tuple[type, tuple[type, ...], str], ...] = (
    (bool, (bool,), "True or False"),
    (int, (int,), "a whole number"),
    (float, (int, float), "a number"),
    (str, (str,), "a text"),
    (list, (list, tuple), "a list"),
)


def defaults() -> dict[str, Any]:
    """Return every option that prediction reads, with its value in the base configuration."""
    return dict(_READ)


def unread_name(key: str) -> str | None:
    """Return what to call an option that prediction does not read (its section's name, if the
    whole section is such); None for one that it reads.

    Raises:
        ValueError: there is no such option; the message names the nearest.
    """
    if key in _READ:
        return None
    if key in _UNREAD:
        return key
    section = next((s for s in _UNREAD if s.endswith(".") and key.startswith(s)), None)
    if section is not None:
        return f"{section}*"
    if any(name.startswith(f"{key}.") for name in (*_READ, *_UNREAD)):
        raise ValueError(f"{key} is a section; options in it would be right")
    known = [*_READ, *(name.rstrip(".") for name in _UNREAD)]
    near = [key.upper()] if key != key.upper() and _is_known(key.upper()) else []
    near = near or difflib.get_close_matches(key.upper(), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"unknown option {key}{hint}")


def _is_known(key: str) -> bool:
    in_a_section = any(s.endswith(".") and key.startswith(s) for s in _UNREAD)
    return key in _READ or key in _UNREAD or in_a_section


def checked(key: str, value: Any) -> Any:
    """Return the value as the option wants it (a tuple becomes a list, 1 a 1.0).

    Raises:
        ValueError: it is of another type.
    """
    return as_kind_of(_READ[key], key, value)


def as_kind_of(default: Any, key: str, value: Any) -> Any:
    """Return the value as the kind of the option's default (a tuple becomes a list, 1 a 1.0).

    Raises:
        ValueError: it is of another type.
    """
    for kind, accepted, words in _KINDS:
        if type(default) is kind:
            is_stray_bool = isinstance(value, bool) and kind is not bool
            if not isinstance(value, accepted) or is_stray_bool:
                raise ValueError(f"{key} is {value!r}; it must be {words}")
            return kind(value)
    raise AssertionError(key)
