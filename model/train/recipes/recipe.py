"""How a network is trained: the recipes of the released configurations, and what may differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from model.config import NetworkPart
from model.presets import PRESETS


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What happens to a picture on the way into a batch (spec, section 9.6).

    short_sides: the sizes to choose from ("choice"), or the lowest and highest ("range").
    crop: instance-aware crop to 90 to 100 % of each side, before the resize.
    Off in the recipes: colour jitter, large-scale jitter (a factor's range), copy-paste.
    """

    short_sides: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    sampling: Literal["choice", "range"] = "choice"
    max_side: int = 1333
    flip_probability: float = 0.5
    crop: bool = False
    crop_fraction: float = 0.9
    colour_jitter: float = 0.0
    scale_jitter: tuple[float, float] | None = None
    copy_paste_probability: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Targets and losses (spec, sections 9.1 to 9.4).

    own_boxes: masks are learnt in so many of the network's own boxes of each object, besides in
    the true one. Off in the recipes.
    """

    sizes_of_interest: tuple[int, ...] = (64, 128, 256, 512)
    center_radius: float = 1.5
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    box_loss: Literal["giou", "iou", "linear_iou"] = "giou"
    class_normaliser: Literal["fg", "moving_fg", "all"] = "fg"
    class_weight: float = 1.0
    mask_weight: float = 1.0
    basis_weight: float = 0.3
    semantic_weight: float = 0.5
    own_boxes: int = 0


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """SGD or AdamW with a linear warm-up and steps (spec, section 9.5); lengths in iterations."""

    kind: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    norm_weight_decay: float = 0.0
    warmup_iterations: int = 1000
    warmup_factor: float = 1e-3
    steps: tuple[int, ...] = (60_000, 80_000)
    gamma: float = 0.1
    clip_norm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All of a training run but its data.

    freeze_at: 2 keeps the stem and res2 as they are, 0 trains everything.
    frozen_parts: whole parts of the network that keep their starting values.
    ema_decay: None keeps no averaged weights. accumulate: batches for one step.
    keep_empty: train on pictures without objects too.
    """

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 16
    iterations: int = 90_000
    keep_empty: bool = False
    freeze_at: int = 2
    frozen_parts: tuple[NetworkPart, ...] = ()
    precision: Literal["float32", "bf16"] = "float32"
    accumulate: int = 1
    ema_decay: float | None = None
    checkpoint_every: int = 5000
    evaluate_every: int = 0
    seed: int = 0

    @property
    def num_pictures(self) -> int:
        """Pictures of one step, over all processes."""
        return self.batch_size * self.accumulate


_RANGE = AugmentConfig(short_sides=(640, 864), sampling="range", max_side=1440, crop=True)
_SHORT_550 = tuple(range(440, 551, 22))
_SHORT_RT = tuple(range(256, 609, 32))


def _schedule(*steps: int, end: int) -> Recipe:
    return Recipe(optimizer=OptimizerConfig(steps=steps), iterations=end)


_1X = _schedule(60_000, 80_000, end=90_000)
_3X = _schedule(210_000, 250_000, end=270_000)
_5X = replace(_schedule(280_000, 360_000, end=400_000), augment=_RANGE)
_550 = AugmentConfig(short_sides=_SHORT_550, max_side=916)
_550_LOSS = LossConfig(sizes_of_interest=(64, 128, 256))
_550_DCN = AugmentConfig(short_sides=(440, 594), sampling="range", max_side=990, crop=True)
_RT = replace(
    _schedule(300_000, 340_000, end=360_000),
    augment=AugmentConfig(short_sides=_SHORT_RT, max_side=900),
    loss=LossConfig(sizes_of_interest=(64, 128)),
    freeze_at=0,
)

RECIPES: dict[str, Recipe] = {
    "R_50_1x": _1X,
    "R_50_3x": _3X,
    "R_101_3x": _3X,
    "R_101_dcni3_5x": replace(_5X, evaluate_every=20_000),
    "550_R_50_1x": replace(_1X, augment=_550, loss=_550_LOSS),
    "550_R_50_3x": replace(_3X, augment=_550, loss=_550_LOSS),
    "550_R_50_dcni3_5x": replace(_3X, augment=_550_DCN, loss=_550_LOSS),
    "RT_R_50_4x_syncbn_shtw": _RT,
    "RT_R_50_4x_bn-head_syncbn_shtw": _RT,
    "DLA_34_syncbn_4x": _RT,
    "Person/R_50_1x": _1X,
    "Panoptic/R_50_1x": _1X,
    "Panoptic/R_50_3x": _3X,
    "Panoptic/R_50_dcni3_5x": _5X,
    "Panoptic/R_101_3x": _3X,
    "Panoptic/R_101_dcni3_5x": replace(_5X, augment=replace(_RANGE, max_side=1333)),
}
assert set(RECIPES) == set(PRESETS)
