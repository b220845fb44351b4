"""AdelaiDet's options of training: which are followed, their defaults, what is not followed.

The defaults are the base configuration's, as in `options.py`: detectron2's, AdelaiDet's and
`Base-BlendMask.yaml`'s together (spec, sections 1 and 9).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from model.adelaidet.options import as_kind_of

DEFAULTS: dict[str, Any] = {
    "SOLVER.MAX_ITER": 90_000,
    "SOLVER.IMS_PER_BATCH": 16,
    "SOLVER.BASE_LR": 0.01,
    "SOLVER.MOMENTUM": 0.9,
    "SOLVER.WEIGHT_DECAY": 1e-4,
    "SOLVER.WEIGHT_DECAY_NORM": 0.0,
    "SOLVER.GAMMA": 0.1,
    "SOLVER.STEPS": [60_000, 80_000],
    "SOLVER.WARMUP_FACTOR": 1e-3,
    "SOLVER.WARMUP_ITERS": 1000,
    "SOLVER.CHECKPOINT_PERIOD": 5000,
    "SOLVER.CLIP_GRADIENTS.ENABLED": False,
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": "value",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 1.0,
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": 2.0,
    "TEST.EVAL_PERIOD": 0,
    "SEED": -1,
    "INPUT.MIN_SIZE_TRAIN": [640, 672, 704, 736, 768, 800],
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
    "INPUT.MAX_SIZE_TRAIN": 1333,
    "INPUT.HFLIP_TRAIN": True,
    "INPUT.CROP.ENABLED": False,
    "INPUT.CROP.SIZE": [0.9, 0.9],
    "DATALOADER.FILTER_EMPTY_ANNOTATIONS": True,
    "MODEL.BACKBONE.FREEZE_AT": 2,
    "MODEL.FCOS.SIZES_OF_INTEREST": [64, 128, 256, 512],
    "MODEL.FCOS.POS_RADIUS": 1.5,
    "MODEL.FCOS.LOSS_ALPHA": 0.25,
    "MODEL.FCOS.LOSS_GAMMA": 2.0,
    "MODEL.FCOS.LOC_LOSS_TYPE": "giou",
    "MODEL.FCOS.LOSS_NORMALIZER_CLS": "fg",
    "MODEL.FCOS.LOSS_WEIGHT_CLS": 1.0,
    "MODEL.BLENDMASK.INSTANCE_LOSS_WEIGHT": 1.0,
    "MODEL.BASIS_MODULE.LOSS_WEIGHT": 0.3,
    "MODEL.SEM_SEG_HEAD.LOSS_WEIGHT": 1.0,
}
# What training here does in one way only.
_FIXED: dict[str, Any] = {
    "SOLVER.LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "SOLVER.WARMUP_METHOD": "linear",
    "SOLVER.NESTEROV": False,
    "SOLVER.BIAS_LR_FACTOR": 1.0,
    "SOLVER.REFERENCE_WORLD_SIZE": 0,
    "SOLVER.AMP.ENABLED": False,
    "INPUT.CROP.TYPE": "relative_range",
    "INPUT.CROP.CROP_INSTANCE": True,
    "INPUT.IS_ROTATE": False,
    "MODEL.FCOS.CENTER_SAMPLE": True,
    "MODEL.FCOS.PRIOR_PROB": 0.01,
}
_DECAY_OF_BIASES = "SOLVER.WEIGHT_DECAY_BIAS"  # None, or the weights'
# What matters to other schedulers only.
_OF_OTHER_SCHEDULERS = ("SOLVER.BASE_LR_END", "SOLVER.NUM_DECAYS", "SOLVER.RESCALE_INTERVAL")
_SOLVER = (*DEFAULTS, *_FIXED, _DECAY_OF_BIASES, *_OF_OTHER_SCHEDULERS)
_CHOICES: dict[str, tuple[str, ...]] = {
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": ("choice", "range"),
    "MODEL.FCOS.LOC_LOSS_TYPE": ("giou", "iou", "linear_iou"),
    "MODEL.FCOS.LOSS_NORMALIZER_CLS": ("fg", "moving_fg", "all"),
}
_AT_LEAST_ONE = (
    "SOLVER.MAX_ITER",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.CHECKPOINT_PERIOD",
    "INPUT.MAX_SIZE_TRAIN",
)
# The lowest and the highest value that makes sense.
_RANGES: dict[str, tuple[float, float]] = {
    "SOLVER.BASE_LR": (0, math.inf),
    "SOLVER.MOMENTUM": (0, 1),
    "SOLVER.WEIGHT_DECAY": (0, math.inf),
    "SOLVER.WEIGHT_DECAY_NORM": (0, math.inf),
    "SOLVER.GAMMA": (0, math.inf),
    "SOLVER.WARMUP_FACTOR": (0, math.inf),
    "SOLVER.WARMUP_ITERS": (0, math.inf),
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": (0, math.inf),
    "SEED": (-math.inf, 2**31),
    "MODEL.BACKBONE.FREEZE_AT": (-math.inf, 5),
    "MODEL.FCOS.POS_RADIUS": (0, math.inf),
    "MODEL.FCOS.LOSS_ALPHA": (0, 1),
    "MODEL.FCOS.LOSS_GAMMA": (0, math.inf),
    "MODEL.FCOS.LOSS_WEIGHT_CLS": (0, math.inf),
    "MODEL.BLENDMASK.INSTANCE_LOSS_WEIGHT": (0, math.inf),
    "MODEL.BASIS_MODULE.LOSS_WEIGHT": (0, math.inf),
    "MODEL.SEM_SEG_HEAD.LOSS_WEIGHT": (0, math.inf),
}
_WHOLE_NUMBERS = ("SOLVER.STEPS", "INPUT.MIN_SIZE_TRAIN", "MODEL.FCOS.SIZES_OF_INTEREST")


def is_followed(key: str) -> bool:
    """Whether training reads the option, or says so where it cannot follow it."""
    return key in _SOLVER


def training_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option of training that is followed, as the settings or the defaults have it.

    Raises:
        ValueError: one is of a wrong type or out of range, or no option of SOLVER is called so.
    """
    options = dict(DEFAULTS)
    for key, value in settings.items():
        if key.startswith("SOLVER.") and key not in _SOLVER:
            near = difflib.get_close_matches(key, _SOLVER, n=1)
            raise ValueError(f"unknown option {key}" + (f"; did you mean {near[0]}?" * bool(near)))
        if key in DEFAULTS:
            single = isinstance(DEFAULTS[key], list) and isinstance(value, int)
            options[key] = as_kind_of(DEFAULTS[key], key, [value] if single else value)
    _check(options)
    return options


def not_followed(settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return {option: (its value, what training does instead)} where the two differ."""
    differing = {
        key: (settings[key], usual)
        for key, usual in _FIXED.items()
        if key in settings and settings[key] != usual
    }
    decay = settings.get("SOLVER.WEIGHT_DECAY", DEFAULTS["SOLVER.WEIGHT_DECAY"])
    of_biases = settings.get(_DECAY_OF_BIASES)
    if of_biases is not None and of_biases != decay:
        differing[_DECAY_OF_BIASES] = (of_biases, decay)
    options = {**DEFAULTS, **settings}
    if options["SOLVER.CLIP_GRADIENTS.ENABLED"]:
        for name, usual in (("CLIP_TYPE", "full_model"), ("NORM_TYPE", 2.0)):
            key = f"SOLVER.CLIP_GRADIENTS.{name}"
            if options[key] != usual:
                differing[key] = (options[key], usual)
    return differing


def _check(options: Mapping[str, Any]) -> None:
    for key, values in _CHOICES.items():
        if options[key] not in values:
            allowed = " or ".join(map(repr, values))
            raise ValueError(f"{key} is {options[key]!r}; only {allowed} is supported")
    for key in _AT_LEAST_ONE:
        if options[key] < 1:
            raise ValueError(f"{key} is {options[key]}; it must be 1 or more")
    for key, (low, high) in _RANGES.items():
        if not (math.isfinite(options[key]) and low <= options[key] <= high):
            limits = f"{low:g} or more" if high == math.inf else f"{high:g} or less"
            limits = f"from {low:g} to {high:g}" if math.isfinite(high - low) else limits
            raise ValueError(f"{key} is {options[key]}; it must be {limits}")
    for key in _WHOLE_NUMBERS:
        if not all(type(v) is int and v >= 1 for v in options[key]):
            raise ValueError(f"{key} is {options[key]}; it must be whole numbers of 1 or more")
    sides = options["INPUT.MIN_SIZE_TRAIN"]
    is_range = options["INPUT.MIN_SIZE_TRAIN_SAMPLING"] == "range"
    if not sides or (is_range and len(sides) != 2):
        raise ValueError(
            f"INPUT.MIN_SIZE_TRAIN is {sides}; it must be one or more sizes, and the lowest and "
            "the highest with INPUT.MIN_SIZE_TRAIN_SAMPLING 'range'"
        )
    for key in ("MODEL.FCOS.SIZES_OF_INTEREST", *(["INPUT.MIN_SIZE_TRAIN"] if is_range else [])):
        if options[key] != sorted(options[key]):
            raise ValueError(f"{key} is {options[key]}; it must rise")
    fraction = options["INPUT.CROP.SIZE"]
    if len(fraction) != 2 or fraction[0] != fraction[1] or not 0 < fraction[0] <= 1:
        raise ValueError(f"INPUT.CROP.SIZE is {fraction}; it must be one share twice, up to 1")
