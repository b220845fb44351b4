"""What the masks' benchmarks run on: boxes and mask maps like COCO's, and logits to partition."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = {"640×480": (480, 640), "1920×1080": (1080, 1920), "4000×3000": (3000, 4000)}
NUM_LABELS = 54


def scene(height: int, width: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Blobs with soft, wavy edges; boxes spread like COCO's objects, in a fixed pseudo-random way.

    The sides' geometric mean is log-normal, with a median of 7.5 % of the picture's: at 640×480
    about two fifths of the objects are small (below 32²) and one fifth large (above 96²), as in
    COCO. Larger pictures show the same scene with more pixels.
    """
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator}
    y, x = torch.meshgrid(torch.arange(56) + 0.5, torch.arange(56) + 0.5, indexing="ij")
    maps = []
    for waves in range(number):
        centre = 28 + 3 * torch.randn(2, **draw)
        angle = torch.atan2(y - centre[0], x - centre[1])
        edge = (20 + 5 * torch.rand(1, **draw)) * (1 + 0.2 * torch.sin(angle * (2 + waves % 6)))
        maps.append(torch.sigmoid((edge - torch.hypot(y - centre[0], x - centre[1])) / 1.5))
    side = (0.075 * torch.exp(torch.randn(number, **draw))).clamp(0.01, 0.9) * (
        height * width
    ) ** 0.5
    aspect = torch.exp(0.4 * torch.randn(number, **draw))
    picture = torch.tensor([float(width), float(height)])
    extent = torch.stack([side * aspect, side / aspect], dim=1).minimum(picture * 0.98)
    corner = torch.rand(number, 2, **draw) * (picture - extent)
    scores = torch.rand(number, **draw).sort(descending=True).values * 0.5 + 0.45
    return torch.stack(maps), torch.cat([corner, corner + extent], dim=1), scores


def semantic_logits(view: tuple[int, int]) -> Tensor:
    """Logits that vary over the picture as a network's do, with some noise: (S, h, w)."""
    generator = torch.Generator().manual_seed(1)
    height, width = (-(-side // 32) * 8 for side in view)
    coarse = torch.randn(1, NUM_LABELS, height // 16, width // 16, generator=generator) * 3
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")[0]
    return smooth + 0.1 * torch.randn(smooth.shape, generator=generator)


def view_of(height: int, width: int) -> tuple[int, int]:
    """The network's view: the shorter side 800, the longer at most 1333."""
    scale = min(800 / min(height, width), 1333 / max(height, width))
    return round(height * scale), round(width * scale)
