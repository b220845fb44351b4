"""Starting values: the original's random ones, an ImageNet backbone, or a whole network's."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping

from torch import Tensor, nn

from model.checkpoints.checkpoint import Checkpoint
from model.checkpoints.describe import is_training_only
from model.config import NetworkPart
from model.network.blendmask import BlendMask
from model.network.csp_net import CSPNet
from model.network.dla import DLA34
from model.network.fcos import Scale, initialise_head
from model.network.layers import BATCH_NORM_EPSILON, FrozenBatchNorm
from model.network.mobilenet import MobileNetV2

logger = logging.getLogger(__name__)

_BOTTOM_UP = "backbone.bottom_up."
# The layers whose shape depends on the classes.
_CLASS_LAYERS = ("fcos_head.cls_logits.", "basis_module.seg_head.6.", "semantic_head.predictor.")
# The parts of a backbone that `freeze_at` counts: the stem, then what ends at stride 4, 8, ...
_RESNET_STAGES = (("stem",), ("res2",), ("res3",), ("res4",), ("res5",))
_DLA_STAGES = (("base_layer", "level0", "level1"), *((f"level{n}",) for n in (2, 3, 4, 5)))
_CSP_STAGES = (("entry",), *((f"stage{n}",) for n in (2, 3, 4, 5)))
_MOBILENET_STAGES = tuple(
    tuple(f"features.{n}" for n in range(first, end))
    for first, end in ((0, 2), (2, 4), (4, 7), (7, 14), (14, 18))
)


def freeze_parts(model: BlendMask, parts: Collection[NetworkPart]) -> None:
    """Keep whole parts as they are; their batch normalisations become constants.

    Raises:
        ValueError: the network has no such part.
    """
    modules: dict[NetworkPart, nn.Module | None] = {
        "backbone": model.backbone,
        "head": model.fcos_head,
        "bases": model.basis_module,
        "attentions": model.top_layer,
        "stuff": model.semantic_head,
    }
    for part in parts:
        module = modules[part]
        if module is None:
            raise ValueError(f"this network has no part {part!r} to freeze")
        module.requires_grad_(False)
        _make_norms_constant(module)


def initialise(
    model: BlendMask, *, backbone: Mapping[str, Tensor] | None, freeze_at: int
) -> list[str]:
    """Give the network its starting values, and freeze the first stages of the backbone.

    Args:
        backbone: an ImageNet backbone under our names (`adelaidet.backbone_tensors`); None
            starts it at random too.
        freeze_at: the number of stages that stay as they are, of 5: the stem, then those at
            strides 4 to 32. Their batch normalisations become constants.
    Returns:
        The names of the tensors that start afresh.
    Raises:
        ValueError: the backbone is another network's, or there are not so many stages.
    """
    _reset(model)
    loaded = set() if backbone is None else _load_backbone(model, backbone)
    _freeze(model, freeze_at)
    return [name for name in model.state_dict() if name not in loaded and not _is_counter(name)]


def load_starting_point(model: BlendMask, checkpoint: Checkpoint) -> list[str]:
    """Load another run's weights into an initialised network.

    What the checkpoint lacks, and the layers whose shape depends on the classes where it
    differs, keep the values they have.

    Returns:
        The names of the tensors that were not loaded.
    Raises:
        ValueError: other tensors differ in shape, or none has a name of ours.
    """
    own = model.state_dict()
    theirs = {name: tensor for name, tensor in checkpoint.tensors.items() if name in own}
    reshaped = [name for name, tensor in theirs.items() if tensor.shape != own[name].shape]
    wrong = [name for name in reshaped if not name.startswith(_CLASS_LAYERS)]
    if wrong or not theirs:
        example = (
            f"{wrong[0]} is {tuple(theirs[wrong[0]].shape)}, not {tuple(own[wrong[0]].shape)}"
            if wrong
            else "no tensor has a name that this network knows"
        )
        raise ValueError(
            f"the starting point {checkpoint.config.name!r} is of another architecture: {example}; "
            "one with the same backbone and head would be right"
        )
    kept = {name: tensor for name, tensor in theirs.items() if name not in reshaped}
    model.load_state_dict(kept, strict=False)
    unread = [n for n in checkpoint.tensors if n not in own and not is_training_only(n)]
    if unread:
        logger.info("left out %d tensors of the starting point, such as %s", len(unread), unread[0])
    return [name for name in own if name not in kept and not _is_counter(name)]


def _reset(model: BlendMask) -> None:
    """Set every parameter and statistic as the original does (spec, sections 3 to 8)."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
        elif isinstance(module, FrozenBatchNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            nn.init.zeros_(module.running_mean)
            nn.init.constant_(module.running_var, 1 - BATCH_NORM_EPSILON)
        elif isinstance(module, Scale):
            nn.init.ones_(module.scale)
    bottom_up = model.backbone.bottom_up
    for name, parameter in bottom_up.named_parameters():
        if ".conv2_offset." in name:
            nn.init.zeros_(parameter)
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
    for name, conv in _convs(model.backbone):
        if not name.startswith("bottom_up."):
            _reset_conv(conv)
    for _, conv in _convs(model.basis_module):
        if conv.bias is None:
            _reset_conv(conv)
        else:
            conv.reset_parameters()
    if model.basis_module.seg_head is not None:
        for _, conv in _convs(model.basis_module.seg_head):
            conv.reset_parameters()
    if model.semantic_head is not None:
        for _, conv in _convs(model.semantic_head):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
    initialise_head(model.fcos_head, model.top_layer)


def _reset_conv(conv: nn.Conv2d) -> None:
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _convs(module: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d):
            yield name, child


def _load_backbone(model: BlendMask, backbone: Mapping[str, Tensor]) -> set[str]:
    """Copy the tensors in and return their names; only deformable offsets may be missing."""
    own = {n: t for n, t in model.state_dict().items() if n.startswith(_BOTTOM_UP)}
    missing = [
        n for n in own if n not in backbone and ".conv2_offset." not in n and not _is_counter(n)
    ]
    unknown = [n for n in backbone if n not in own and not _is_counter(n)]
    reshaped = [n for n in own if n in backbone and backbone[n].shape != own[n].shape]
    for names, what in (
        (missing, "lacks"),
        (unknown, "has beyond it"),
        (reshaped, "has in another shape"),
    ):
        if names:
            raise ValueError(
                f"the backbone is not this configuration's: it {what} {len(names)} tensors, "
                f"such as {names[0]}"
            )
    found = {name: tensor for name, tensor in backbone.items() if name in own}
    model.backbone.bottom_up.load_state_dict(
        {name.removeprefix(_BOTTOM_UP): tensor for name, tensor in found.items()}, strict=False
    )
    return set(found)


def _freeze(model: BlendMask, freeze_at: int) -> None:
    bottom_up = model.backbone.bottom_up
    stages: tuple[tuple[str, ...], ...] = _RESNET_STAGES
    if isinstance(bottom_up, DLA34):
        stages = _DLA_STAGES
    elif isinstance(bottom_up, MobileNetV2):
        stages = _MOBILENET_STAGES
    elif isinstance(bottom_up, CSPNet):
        stages = _CSP_STAGES
    if not 0 <= freeze_at <= len(stages):
        raise ValueError(f"freeze_at is {freeze_at}; it must be between 0 and {len(stages)}")
    for name in (name for stage in stages[:freeze_at] for name in stage):
        module = bottom_up.get_submodule(name)
        module.requires_grad_(False)
        _make_norms_constant(module)


def _make_norms_constant(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm(child.num_features).to(child.weight)
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(frozen, key).copy_(getattr(child, key).detach())
            module.register_module(name, frozen)
        else:
            _make_norms_constant(child)


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")
