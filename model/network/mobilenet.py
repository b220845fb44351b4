"""MobileNetV2 (arXiv:1801.04381) as torchvision builds it: the small backbone."""
# N images, C channels, H and W rows and columns of the input picture

from __future__ import annotations

from functools import partial
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from model.config import BackboneConfig
from model.network.layers import batch_norm

# The last inverted-residual block at each stride: index in torchvision's `features`.
_LAST_BLOCK = {2: 3, 3: 6, 4: 13, 5: 17}


class MobileNetV2(nn.Module):
    """torchvision's `features`, read at strides 4 to 32, without its last 1×1 convolution."""

    out_channels: ClassVar[dict[int, int]] = {2: 24, 3: 32, 4: 96, 5: 320}

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        whole = mobilenet_v2(weights=None, norm_layer=partial(batch_norm, config.norm))
        self.features = whole.features[: _LAST_BLOCK[5] + 1]

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the outputs by level: {k: (N, C, H / 2^k, W / 2^k)} for k = 2 to 5."""
        outputs: dict[int, Tensor] = {}
        level_of = {index: level for level, index in _LAST_BLOCK.items()}
        x = pixels
        for index, block in enumerate(self.features):
            x = block(x)
            if index in level_of:
                outputs[level_of[index]] = x
        return outputs
