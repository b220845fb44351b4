"""What a network's tensors say about it: read from their names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from model.config import BackboneKind, ModelConfig

Shapes = Mapping[str, tuple[int, ...]]

_BLOCKS_IN_RES4 = {6: 50, 23: 101}
_BACKBONE_MARKS: dict[str, BackboneKind] = {
    "backbone.bottom_up.stem.": "resnet",
    "backbone.bottom_up.base_layer.": "dla34",
    "backbone.bottom_up.features.": "mobilenet_v2",
    "backbone.bottom_up.stage5.": "csp_net",
}
_OFFSET_IN_RES4 = re.compile(r"backbone\.bottom_up\.res4\.(\d+)\.conv2_offset\.weight")
_BLOCK_OF_RES4 = re.compile(r"backbone\.bottom_up\.res4\.(\d+)\.")
_NORM_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, kw_only=True)
class WeightsDescription:
    """A network as its tensors show it; None where they do not.

    depth: 50 or 101, of a ResNet. deformable_interval: as in `BackboneConfig`.
    num_levels: those that detect. semantic_classes: None without a semantic head.
    auxiliary_classes: None without the head that only training uses.
    """

    task: Literal["instance", "panoptic"]
    backbone: BackboneKind | None
    depth: int | None
    deformable_interval: int | None
    num_levels: int
    num_classes: int | None
    semantic_classes: int | None
    auxiliary_classes: int | None
    num_bases: int | None
    num_share_convs: int
    num_class_convs: int
    num_box_convs: int


def describe(tensors: Mapping[str, Tensor]) -> WeightsDescription:
    """Return what a network's tensors, by our names, say about it."""
    return describe_shapes(shapes_of(tensors))


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return {name: shape}."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def describe_shapes(shapes: Shapes) -> WeightsDescription:
    """Return what tensors of these names and shapes make up."""
    semantic = _first_side(shapes, "semantic_head.predictor.weight")
    auxiliary = _first_side(shapes, "basis_module.seg_head.6.weight")
    kinds = [k for mark, k in _BACKBONE_MARKS.items() if any(n.startswith(mark) for n in shapes)]
    blocks = {int(m[1]) for n in shapes if (m := _BLOCK_OF_RES4.match(n))}
    top_levels = sum(f"backbone.top_block.p{level}.weight" in shapes for level in (6, 7))
    bases = [s[0] for n, s in shapes.items() if re.match(r"basis_module\.tower\.\d+\.weight", n)]
    return WeightsDescription(
        task="instance" if semantic is None else "panoptic",
        backbone=kinds[0] if kinds else None,
        depth=_BLOCKS_IN_RES4.get(len(blocks)),
        deformable_interval=_deformable_interval(shapes),
        num_levels=3 + top_levels,
        num_classes=_first_side(shapes, "fcos_head.cls_logits.weight")
        or _first_side(shapes, "fcos_head.cls_logits.0.weight"),
        semantic_classes=semantic,
        auxiliary_classes=None if auxiliary is None else auxiliary - 1,
        num_bases=bases[0] if bases else None,
        num_share_convs=_tower_length(shapes, "share_tower"),
        num_class_convs=_tower_length(shapes, "cls_tower"),
        num_box_convs=_tower_length(shapes, "bbox_tower"),
    )


def describe_config(config: ModelConfig) -> WeightsDescription:
    """Return what the tensors of a configuration's network would say."""
    backbone = config.backbone
    is_resnet = backbone.kind == "resnet"
    has_towers = config.fcos.kind == "fcos"
    return WeightsDescription(
        task="panoptic" if config.is_panoptic else "instance",
        backbone=backbone.kind,
        depth=backbone.depth if is_resnet else None,
        deformable_interval=backbone.deformable_interval if is_resnet else None,
        num_levels=len(config.strides),
        num_classes=config.fcos.num_classes,
        semantic_classes=config.semantic.num_classes if config.semantic else None,
        auxiliary_classes=config.basis.auxiliary_classes,
        num_bases=config.basis.num_bases,
        num_share_convs=config.fcos.num_share_convs if has_towers else 0,
        num_class_convs=config.fcos.num_class_convs if has_towers else 0,
        num_box_convs=config.fcos.num_box_convs if has_towers else 0,
    )


def with_class_counts(config: ModelConfig, found: WeightsDescription) -> ModelConfig:
    """Return the configuration with the numbers of classes that the tensors have."""
    fcos, semantic, basis = config.fcos, config.semantic, config.basis
    if found.num_classes is not None:
        fcos = replace(fcos, num_classes=found.num_classes)
    if semantic is not None and found.semantic_classes is not None:
        semantic = replace(semantic, num_classes=found.semantic_classes)
    if basis.auxiliary_classes is not None and found.auxiliary_classes is not None:
        basis = replace(basis, auxiliary_classes=found.auxiliary_classes)
    return replace(config, fcos=fcos, semantic=semantic, basis=basis)


def disagreements(found: WeightsDescription, config: ModelConfig) -> list[str]:
    """Return where the weights and the configuration differ, in words; most telling first."""
    wanted = describe_config(config)
    words: list[str] = []
    if found.task != wanted.task:
        words.append(f"the weights are {_task(found)}, the configuration is {_task(wanted)}")
    if (found.backbone, found.depth) != (wanted.backbone, wanted.depth):
        words.append(
            f"the weights' backbone is {_backbone(found)}, the configuration's {_backbone(wanted)}"
        )
    if found.deformable_interval != wanted.deformable_interval:
        words.append(
            f"the weights' backbone is {_deformable(found)}, "
            f"the configuration's {_deformable(wanted)}"
        )
    for name, what in (
        ("num_levels", "detection levels"),
        ("num_classes", "classes"),
        ("semantic_classes", "semantic labels"),
        ("auxiliary_classes", "auxiliary classes"),
        ("num_bases", "bases"),
        ("num_share_convs", "shared convolutions in the head"),
        ("num_class_convs", "class convolutions in the head"),
        ("num_box_convs", "box convolutions in the head"),
    ):
        has, wants = getattr(found, name), getattr(wanted, name)
        if has != wants and has is not None and wants is not None:
            words.append(f"the weights have {has} {what}, the configuration {wants}")
    return words


def is_training_only(name: str) -> bool:
    """Whether a tensor of ours matters to training alone: prediction never reads it."""
    return name.startswith("basis_module.seg_head.") or name.endswith(f".{_NORM_COUNTER}")


def _first_side(shapes: Shapes, name: str) -> int | None:
    shape = shapes.get(name)
    return shape[0] if shape else None


def _tower_length(shapes: Shapes, tower: str) -> int:
    prefix = f"fcos_head.{tower}."
    return sum(
        n.startswith(prefix) and n.endswith(".weight") and len(s) == 4 for n, s in shapes.items()
    )


def _deformable_interval(shapes: Shapes) -> int | None:
    indices = sorted(int(m[1]) for n in shapes if (m := _OFFSET_IN_RES4.fullmatch(n)))
    return None if not indices else indices[1] - indices[0] if len(indices) > 1 else 0


def _task(description: WeightsDescription) -> str:
    return "panoptic" if description.task == "panoptic" else "instance-only"


def _backbone(description: WeightsDescription) -> str:
    if description.backbone == "resnet":
        return f"a ResNet-{description.depth or '?'}"
    names = {"dla34": "DLA-34", "mobilenet_v2": "MobileNetV2", "csp_net": "CSPNet"}
    return names.get(description.backbone or "", "unknown")


def _deformable(description: WeightsDescription) -> str:
    interval = description.deformable_interval
    return "plain" if interval is None else f"deformable (interval {interval})"
