"""BlendMask (arXiv:2001.00309): pictures in, dense predictions out.

The same object trains and serves. What becomes of its predictions (targets and losses, or
boxes and masks) is decided elsewhere.
"""
# N images, H and W rows and columns of the padded network input

from __future__ import annotations

from torch import Tensor, nn

from model.config import ModelConfig
from model.network.basis_module import BasisModule
from model.network.fcos import FCOSHead, TopLayer, initialise_head
from model.network.fpn import FPN
from model.network.pan import PAN
from model.network.quality_head import QualityHead
from model.network.semantic_head import SemanticHead
from model.structures import DensePredictions

_DETECTION_LEVELS_FROM = 3
_SEMANTIC_LEVELS_FROM = 2


class BlendMask(nn.Module):
    """The network of one configuration."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.fpn.channels
        finest = _SEMANTIC_LEVELS_FROM if config.semantic else _DETECTION_LEVELS_FROM
        self.backbone = _backbone(config, finest_level=finest)
        self.fcos_head = _head(config)
        self.basis_module = BasisModule(config.basis, channels)
        self.semantic_head = (
            SemanticHead(config.semantic, self.backbone.out_channels) if config.semantic else None
        )
        self.top_layer = TopLayer(channels, config.basis.num_bases, config.blender.attention_size)
        initialise_head(self.fcos_head, self.top_layer)

    def forward(
        self, pixels: Tensor, *, semantic: bool = True, auxiliary: bool = False
    ) -> DensePredictions:
        """Predict at every location of every level.

        Args:
            pixels: (N, 3, H, W) normalised and padded; H and W are multiples of 32.
            semantic: False skips the semantic head, for callers who want instances only.
            auxiliary: True runs the basis module's auxiliary head too, for its loss.
        """
        pyramid = self.backbone(pixels)
        bases = self.basis_module(pyramid)
        semantic_logits = None
        if semantic and self.semantic_head is not None:
            semantic_logits = self.semantic_head(pyramid)
        auxiliary_logits = None
        if auxiliary and self.basis_module.seg_head is not None:
            auxiliary_logits = self.basis_module.seg_head(pyramid[_DETECTION_LEVELS_FROM])
        detection_levels = [pyramid[k] for k in sorted(pyramid) if k >= _DETECTION_LEVELS_FROM]
        heads: list[tuple[Tensor, Tensor, Tensor | None, Tensor]]
        heads = [self.fcos_head(features, level) for level, features in enumerate(detection_levels)]
        return DensePredictions(
            class_logits=[head[0] for head in heads],
            distances=[head[1] for head in heads],
            centerness_logits=[head[2] for head in heads if head[2] is not None] or None,
            box_features=[head[3] for head in heads],
            bases=bases,
            semantic_logits=semantic_logits,
            auxiliary_logits=auxiliary_logits,
        )


def _backbone(config: ModelConfig, *, finest_level: int) -> FPN | PAN:
    if config.fpn.kind == "pan":
        return PAN(config.fpn, finest_level=finest_level)
    return FPN(config.fpn, config.backbone, finest_level=finest_level)


def _head(config: ModelConfig) -> FCOSHead | QualityHead:
    if config.fcos.kind == "quality":
        return QualityHead(config.fcos, config.fpn.channels, config.strides)
    return FCOSHead(config.fcos, config.fpn.channels, num_levels=len(config.strides))
