"""The FCOS head (arXiv:1904.01355) and BlendMask's top layer, shared by all levels.

Spec, section 4; names follow the released checkpoints.
"""
# N images, C channels, h and w rows and columns of a level, R kept locations

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import FCOSConfig, TowerNormKind
from model.network.layers import group_norm
from model.network.quality_head import QualityHead


class Tower(nn.Sequential):
    """Convolution, normalisation and ReLU, so many times over; batch normalisation per level."""

    def __init__(self, channels: int, num_convs: int, norm: TowerNormKind, num_levels: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(num_convs):
            layers.append(nn.Conv2d(channels, channels, 3, padding=1))
            if norm == "gn":
                layers.append(group_norm(channels))
            elif norm != "none":
                layers.append(nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(num_levels)))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)

    def forward(self, input: Tensor, level: int = 0) -> Tensor:  # noqa: A002 (base class)
        """Return (N, C, h, w) for the features of that level (0 is the finest)."""
        x = input
        for layer in self:
            x = layer[level](x) if isinstance(layer, nn.ModuleList) else layer(x)
        return x


class Scale(nn.Module):
    """One learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the factor."""
        return x * self.scale


class FCOSHead(nn.Module):
    """Classes, box distances and centerness at every location."""

    def __init__(self, config: FCOSConfig, channels: int, num_levels: int) -> None:
        super().__init__()
        self.share_tower = Tower(channels, config.num_share_convs, config.norm, num_levels)
        self.cls_tower = Tower(channels, config.num_class_convs, config.norm, num_levels)
        self.bbox_tower = Tower(channels, config.num_box_convs, config.norm, num_levels)
        self.cls_logits = nn.Conv2d(channels, config.num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.ctrness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = (
            nn.ModuleList(Scale() for _ in range(num_levels)) if config.use_scale else None
        )

    @property
    def class_predictors(self) -> list[nn.Conv2d]:
        """The convolution that predicts classes, the same for all levels."""
        return [self.cls_logits]

    def forward(self, features: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Predict at every location of one level (0 is the finest).

        Args:
            features: (N, C, h, w).
        Returns:
            class logits (N, classes, h, w); distances to left, top, right and bottom
            (N, 4, h, w) in strides, >= 0; centerness logits (N, 1, h, w); and the box tower's
            features (N, C, h, w), from which the top layer reads attentions.
        """
        shared = self.share_tower(features, level)
        class_features = self.cls_tower(shared, level)
        box_features = self.bbox_tower(shared, level)
        distances = self.bbox_pred(box_features)
        if self.scales is not None:
            distances = self.scales[level](distances)
        return (
            self.cls_logits(class_features),
            F.relu(distances),
            self.ctrness(box_features),
            box_features,
        )


class TopLayer(nn.Conv2d):
    """The 3×3 convolution that predicts attentions, evaluated only where it is read."""

    def __init__(self, channels: int, num_bases: int, attention_size: int) -> None:
        super().__init__(channels, num_bases * attention_size**2, 3, padding=1)
        self.shape = (num_bases, attention_size, attention_size)

    def attentions_at(
        self, features: Tensor, images: Tensor, rows: Tensor, columns: Tensor
    ) -> Tensor:
        """Return the attentions at the given cells of one level.

        Args:
            features: (N, C, h, w), the box tower's.
            images, rows, columns: (R,) indices of the cells.
        Returns:
            (R, bases, attention size, attention size).
        """
        padded = F.pad(features, (1, 1, 1, 1))
        tap = torch.arange(3, device=features.device)
        patches = padded[
            images[:, None, None],
            :,
            (rows[:, None] + tap)[:, :, None],
            (columns[:, None] + tap)[:, None],
        ]  # (R, 3, 3, C)
        patches = patches.permute(0, 3, 1, 2).flatten(1)  # (R, C, 3, 3) -> (R, C * 9)
        vectors = F.linear(patches, self.weight.flatten(1), cast(Tensor, self.bias))
        return vectors.view(-1, *self.shape)


def initialise_head(head: FCOSHead | QualityHead, top_layer: TopLayer, prior: float = 0.01) -> None:
    """Set the original's starting values: N(0, 0.01), and rare objects (RetinaNet's prior)."""
    for module in (*head.modules(), top_layer):
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(cast(Tensor, module.bias))
    for predictor in head.class_predictors:
        nn.init.constant_(cast(Tensor, predictor.bias), -math.log((1 - prior) / prior))
