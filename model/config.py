"""What a BlendMask network is made of: one frozen record for each part.

A `ModelConfig` says everything that the answer for a picture depends on, besides the weights.
It travels inside our checkpoints as JSON. The released configurations are in `presets.py`.
Long because each part checks its own members where it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from model.json_records import record_of

BackboneKind = Literal["resnet", "dla34", "mobilenet_v2", "csp_net"]
BatchNormKind = Literal["frozen_bn", "bn", "sync_bn"]
TowerNormKind = Literal["gn", "bn", "sync_bn", "none"]
NeckKind = Literal["fpn", "pan"]
HeadKind = Literal["fcos", "quality"]
# What can be kept as it is in training; the pyramid belongs to the backbone.
NetworkPart = Literal["backbone", "head", "bases", "attentions", "stuff"]


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """How a picture becomes the network's input.

    The shorter side is resized to `short_side` unless the longer one would pass `max_side`;
    `short_side` 0 keeps the picture's own size. Mean and standard deviation are in 0..255 and
    in the order of `channels`.
    """

    short_side: int = 800
    max_side: int = 1333
    channels: Literal["bgr", "rgb"] = "bgr"
    pixel_mean: tuple[float, float, float] = (103.53, 116.28, 123.675)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _require(self.short_side >= 0, "input.short_side", self.short_side, "0 or more")
        _require(self.max_side >= 1, "input.max_side", self.max_side, "1 or more")
        _require(min(self.pixel_std) > 0, "input.pixel_std", self.pixel_std, "all above 0")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The network below the feature pyramid.

    `deformable_interval` n makes the 3×3 convolution of blocks 0, n, 2n, … in res3, res4 and
    res5 a modulated deformable one; None makes none. `depth`, `stride_in_1x1` and
    `deformable_interval` matter to a ResNet only; "csp_net" has no normalisation.
    """

    kind: BackboneKind = "resnet"
    depth: Literal[50, 101] = 50
    norm: BatchNormKind = "frozen_bn"
    stride_in_1x1: bool = True
    deformable_interval: int | None = None

    def __post_init__(self) -> None:
        _require_one_of(self.kind, BackboneKind, "backbone.kind")
        _require_one_of(self.norm, BatchNormKind, "backbone.norm")
        _require(self.depth in (50, 101), "backbone.depth", self.depth, "50 or 101")
        interval = self.deformable_interval
        _require(
            interval is None or interval >= 1,
            "backbone.deformable_interval",
            interval,
            "null, or 1 or more",
        )


@dataclass(frozen=True, kw_only=True)
class FPNConfig:
    """The feature pyramid: p3 to p5, `num_top_levels` coarser ones, and p2 where stuff needs it.

    "pan" adds a way back from fine to coarse; it stands on a "csp_net" and has no coarser levels.
    """

    kind: NeckKind = "fpn"
    channels: int = 256
    num_top_levels: Literal[0, 1, 2] = 2
    fuse: Literal["sum", "avg"] = "sum"

    def __post_init__(self) -> None:
        _require(
            self.num_top_levels in (0, 1, 2), "fpn.num_top_levels", self.num_top_levels, "0, 1 or 2"
        )
        _require_one_of(self.fuse, Literal["sum", "avg"], "fpn.fuse")
        _require_one_of(self.kind, NeckKind, "fpn.kind")


@dataclass(frozen=True, kw_only=True)
class FCOSConfig:
    """The detection head: "fcos", shared by all levels, or "quality", one for each level.

    "quality" has no centerness, its class scores say how well the box fits besides; a distance
    is the expectation over `num_bins` whole numbers of strides. The convolutions' numbers,
    `norm` and `use_scale` matter to "fcos" only, `num_bins` to "quality".
    """

    kind: HeadKind = "fcos"
    num_classes: int = 80
    norm: TowerNormKind = "gn"
    num_share_convs: int = 0
    num_class_convs: int = 4
    num_box_convs: int = 4
    use_scale: bool = False
    num_bins: int = 11

    def __post_init__(self) -> None:
        _require(self.num_classes >= 1, "fcos.num_classes", self.num_classes, "1 or more")
        _require(self.num_bins >= 2, "fcos.num_bins", self.num_bins, "2 or more")
        _require_one_of(self.norm, TowerNormKind, "fcos.norm")
        _require_one_of(self.kind, HeadKind, "fcos.kind")


@dataclass(frozen=True, kw_only=True)
class BasisConfig:
    """The basis module; `auxiliary_classes` (None: no such head) is used in training only."""

    num_bases: int = 4
    channels: int = 128
    num_convs: int = 3
    norm: BatchNormKind = "sync_bn"
    auxiliary_classes: int | None = 80

    def __post_init__(self) -> None:
        _require(self.num_bases >= 1, "basis.num_bases", self.num_bases, "1 or more")
        _require(self.num_convs >= 0, "basis.num_convs", self.num_convs, "0 or more")
        _require_one_of(self.norm, BatchNormKind, "basis.norm")


@dataclass(frozen=True, kw_only=True)
class BlenderConfig:
    """How attentions and bases make a mask of `mask_size` × `mask_size` in each box."""

    attention_size: int = 14
    attention_interpolation: Literal["bilinear", "nearest"] = "bilinear"
    mask_size: int = 56
    aligned: bool = True
    sampling_ratio: int = 1

    def __post_init__(self) -> None:
        for name in ("attention_size", "mask_size"):
            _require(getattr(self, name) >= 1, f"blender.{name}", getattr(self, name), "1 or more")
        _require_one_of(
            self.attention_interpolation,
            Literal["bilinear", "nearest"],
            "blender.attention_interpolation",
        )


@dataclass(frozen=True, kw_only=True)
class SemanticConfig:
    """The semantic head. Label 0 is "some thing"; labels 1 to `num_classes` - 1 are stuff."""

    num_classes: int = 54
    channels: int = 128

    def __post_init__(self) -> None:
        _require(self.num_classes >= 2, "semantic.num_classes", self.num_classes, "2 or more")


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Which locations become instances.

    `candidate_threshold` is compared with class probability × centerness, before the square
    root that makes the score (with the class probability alone if not
    `threshold_with_centerness`). `nms_threshold` 0 switches suppression off, `max_instances`
    None keeps all. `score_threshold` is what a caller gets who asks for no other.
    """

    candidate_threshold: float = 0.05
    threshold_with_centerness: bool = True
    max_candidates_per_level: int = 1000
    nms_threshold: float = 0.6
    max_instances: int | None = 100
    score_threshold: float = 0.3

    def __post_init__(self) -> None:
        _require(
            0 <= self.candidate_threshold <= 1,
            "detection.candidate_threshold",
            self.candidate_threshold,
            "between 0 and 1",
        )
        _require(
            self.max_candidates_per_level >= 1,
            "detection.max_candidates_per_level",
            self.max_candidates_per_level,
            "1 or more",
        )
        _require(
            0 <= self.score_threshold <= 1,
            "detection.score_threshold",
            self.score_threshold,
            "between 0 and 1",
        )


@dataclass(frozen=True, kw_only=True)
class PanopticConfig:
    """How instances and stuff share the pixels (spec: scores after the square root)."""

    max_overlap: float = 0.4
    instance_score_threshold: float = 0.45
    min_stuff_area: int = 4096


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole network and how its output is read. `semantic` None: instances only."""

    name: str
    input: InputConfig = field(default_factory=InputConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fpn: FPNConfig = field(default_factory=FPNConfig)
    fcos: FCOSConfig = field(default_factory=FCOSConfig)
    basis: BasisConfig = field(default_factory=BasisConfig)
    blender: BlenderConfig = field(default_factory=BlenderConfig)
    semantic: SemanticConfig | None = None
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    panoptic: PanopticConfig = field(default_factory=PanopticConfig)

    def __post_init__(self) -> None:
        is_pan = self.fpn.kind == "pan"
        _require(
            is_pan == (self.backbone.kind == "csp_net"),
            "fpn.kind",
            self.fpn.kind,
            "'pan' on a 'csp_net' backbone, 'fpn' on any other",
        )
        _require(
            not (is_pan and self.fpn.num_top_levels),
            "fpn.num_top_levels",
            self.fpn.num_top_levels,
            "0 where fpn.kind is 'pan'",
        )

    @property
    def is_panoptic(self) -> bool:
        """Whether the network has a semantic head."""
        return self.semantic is not None

    def panoptic_threshold(self, asked: float) -> float:
        """Return the least score in a partition, where a caller asks for that one."""
        return max(asked, self.panoptic.instance_score_threshold)

    def with_score_threshold(self, threshold: float) -> ModelConfig:
        """Return the configuration with another usual threshold, for partitions too."""
        return replace(
            self,
            detection=replace(self.detection, score_threshold=threshold),
            panoptic=replace(self.panoptic, instance_score_threshold=threshold),
        )

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides, in input pixels, of the levels that detect: p3 and coarser."""
        return tuple(8 * 2**level for level in range(3 + self.fpn.num_top_levels))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready dictionaries; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Build a configuration from `to_dict`'s output.

        Raises:
            ValueError: a member is unknown, missing, or has a value out of range.
        """
        return record_of(cls, data)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ValueError(f"{name} is {value!r}; it must be {expected}")


def _require_one_of(value: object, literal: Any, name: str) -> None:
    allowed = get_args(literal)
    _require(value in allowed, name, value, "one of " + ", ".join(map(repr, allowed)))
