"""A detection head without centerness: class scores that say how well the box fits.

The generalised focal loss's head (arXiv:2006.04388) in NanoDet's form: each level has one
convolution of its own and 1×1 predictions. A distance is the expectation over whole numbers of
strides, 0 to so many, under a predicted distribution.
"""
# N images, C channels, B bins, h and w rows and columns of a level

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import FCOSConfig
from model.network.csp_net import LeakyConv

# Its locations lie so many pixels to the left of and above FCOS's, on both axes.
_POINT_SHIFT = 0.5


class QualityHead(nn.Module):
    """Classes and box distances at every location."""

    def __init__(self, config: FCOSConfig, channels: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.num_bins = config.num_bins
        self.towers = nn.ModuleList(LeakyConv(channels, channels) for _ in strides)
        self.cls_logits = nn.ModuleList(nn.Conv2d(channels, config.num_classes, 1) for _ in strides)
        self.bbox_pred = nn.ModuleList(nn.Conv2d(channels, 4 * config.num_bins, 1) for _ in strides)

    @property
    def class_predictors(self) -> list[nn.Conv2d]:
        """The convolutions that predict classes, one for each level."""
        return [layer for layer in self.cls_logits if isinstance(layer, nn.Conv2d)]

    def forward(self, features: Tensor, level: int) -> tuple[Tensor, Tensor, None, Tensor]:
        """Predict at every location of one level (0 is the finest).

        Args:
            features: (N, C, h, w).
        Returns:
            class logits (N, classes, h, w); distances to left, top, right and bottom
            (N, 4, h, w) in strides, >= 0, from FCOS's locations; no centerness; and the
            tower's features (N, C, h, w), from which the top layer reads attentions.
        """
        box_features = self.towers[level](features)
        logits = self.bbox_pred[level](box_features)
        logits = logits.unflatten(1, (4, self.num_bins))  # (N, 4 * B, h, w) -> (N, 4, B, h, w)
        bins = torch.arange(self.num_bins, device=logits.device, dtype=torch.float32)
        distances = (logits.float().softmax(2) * bins[:, None, None]).sum(2)
        shift = _POINT_SHIFT / self.strides[level]
        left_top, right_bottom = distances[:, :2] + shift, distances[:, 2:] - shift
        return (
            self.cls_logits[level](box_features),
            F.relu(torch.cat((left_top, right_bottom), dim=1)),
            None,
            box_features,
        )
