"""Where a run starts: an ImageNet backbone in one of several forms, or none."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from model.checkpoints.fit import check_finite
from model.checkpoints.tensor_file import read_tensor_file
from model.checkpoints.tensor_names import backbone_tensors
from model.config import BackboneConfig, ModelConfig
from model.train.recipes.small import RGB_MEAN, RGB_STD

logger = logging.getLogger(__name__)

TORCHVISION = "torchvision"
_BOTTOM_UP = "backbone.bottom_up."
_RESNET_RULES = (
    (r"^conv1\.", "stem.conv1."),
    (r"^bn1\.", "stem.conv1.norm."),
    (r"^layer([1-4])\.", lambda m: f"res{int(m[1]) + 1}."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"\.bn([1-3])\.", r".conv\1.norm."),
)


def open_backbone(
    given: str | None, config: ModelConfig
) -> tuple[dict[str, Tensor] | None, ModelConfig]:
    """Return a backbone's tensors by our names (None to start from nothing), and who reads them.

    torchvision's were trained on RGB in units of the standard deviation, and its ResNet has
    the stride of a stage in the 3×3 convolution: the configuration follows, which is logged.

    Args:
        given: a file (MSRA or detectron2 `.pkl`, DLA or torchvision `.pth`), "torchvision" to
            fetch that project's, or "none".

    Raises:
        ValueError: the file has no such backbone, one of another kind, or values that are no
            numbers.
    """
    if given in (None, "none"):
        return None, config
    if given == TORCHVISION:
        tensors, is_torchvision = _from_torchvision(_fetch(config.backbone)), True
    else:
        path = Path(str(given)).expanduser()
        found = read_tensor_file(path).tensors
        is_torchvision = "layer1.0.conv1.weight" in found or _is_mobilenet(found)
        is_resnet = is_torchvision and not _is_mobilenet(found)
        tensors = _from_torchvision(found) if is_resnet else backbone_tensors(path)
        tensors = _in_nested_blocks(tensors)
    _check_kind(tensors, config.backbone, str(given))
    try:
        check_finite(tensors)
    except ValueError as error:
        raise ValueError(f"{given}: {error}") from None
    return tensors, _as_torchvision(config) if is_torchvision else config


def _is_mobilenet(tensors: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("features.0.0.") for name in tensors)


def _in_nested_blocks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return torchvision's names where a MobileNetV2 has each block's layers in one flat row.

    A row is convolution, normalisation, ReLU6 over and over, without a ReLU6 at its end; in
    torchvision's each such group but the last is a member of its own.
    """
    row = re.compile(r"^(.*\.features\.\d+\.conv)\.(\d+)\.(\w+)$")
    matches = {name: row.match(name) for name in tensors}
    lengths: dict[str, int] = {}
    for found in filter(None, matches.values()):
        lengths[found[1]] = max(lengths.get(found[1], 0), int(found[2]))
    nested: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = matches[name]
        if match and lengths[match[1]] in (4, 7):
            group, place = divmod(int(match[2]), 3)
            is_last = int(match[2]) >= lengths[match[1]] - 1
            where = str(group + place) if is_last else f"{group}.{place}"
            name = f"{match[1]}.{where}.{match[3]}"
        nested[name] = tensor
    return nested


def _from_torchvision(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our names for torchvision's, without the classifier."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if re.match(r"(fc|classifier|features\.18)\.", name):
            continue
        new = name
        if not name.startswith("features."):
            for pattern, replacement in _RESNET_RULES:
                new = re.sub(pattern, replacement, new)
        tensors[_BOTTOM_UP + new] = tensor
    return tensors


def _fetch(config: BackboneConfig) -> dict[str, Tensor]:
    from torchvision.models import MobileNet_V2_Weights, ResNet50_Weights, ResNet101_Weights

    if config.kind in ("dla34", "csp_net"):
        name = {"dla34": "DLA-34", "csp_net": "CSPNet"}[config.kind]
        raise ValueError(f"torchvision has no {name}; give its file as --backbone-weights")
    if config.kind == "mobilenet_v2":
        weights = MobileNet_V2_Weights.IMAGENET1K_V1
    else:
        by_depth = {50: ResNet50_Weights, 101: ResNet101_Weights}
        weights = by_depth[config.depth].IMAGENET1K_V1
    logger.info("fetching %s", weights.url)
    found: dict[str, Tensor] = weights.get_state_dict(check_hash=True, weights_only=True)
    return found


def _as_torchvision(config: ModelConfig) -> ModelConfig:
    """Return the configuration that reads pictures as torchvision's weights expect them."""
    adapted = replace(
        config,
        input=replace(config.input, channels="rgb", pixel_mean=RGB_MEAN, pixel_std=RGB_STD),
        backbone=replace(config.backbone, stride_in_1x1=False),
    )
    if config.backbone.kind != "resnet":
        adapted = replace(adapted, backbone=config.backbone)
    if adapted != config:
        logger.warning(
            "torchvision's backbone: RGB in units of the standard deviation, a ResNet's stride "
            "in the 3×3; %s is adapted and differs from the released network",
            config.name,
        )
    return adapted


def _check_kind(tensors: Mapping[str, Tensor], config: BackboneConfig, given: str) -> None:
    marks = {
        "resnet": "res5.",
        "dla34": "level5.",
        "mobilenet_v2": "features.",
        "csp_net": "stage5.",
    }
    depth_mark = {50: "res4.5.", 101: "res4.22."}
    wanted = _BOTTOM_UP + marks[config.kind]
    fits = any(name.startswith(wanted) for name in tensors)
    if fits and config.kind == "resnet":
        blocks = {int(m[1]) for n in tensors if (m := re.match(r".*\.res4\.(\d+)\.", n))}
        fits = depth_mark[config.depth] == f"res4.{max(blocks)}."
    if not fits:
        depth = f"-{config.depth}" if config.kind == "resnet" else ""
        raise ValueError(
            f"{given} is another backbone than the configuration's, {config.kind}{depth}"
        )
