"""Random instances and semantic logits, for the tests of everything that makes partitions."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def random_scene(seed: int) -> tuple[list[Tensor], tuple[int, int], tuple[int, int]]:
    """Maps, boxes, scores and logits; the sizes of the view and of the picture."""
    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    number, num_labels = int(random.integers(0, 20)), int(random.integers(1, 60))
    cells = [int(side) for side in random.integers(1, 20, 2)]
    view = tuple(int(random.integers(max(1, 4 * side - 31), 4 * side + 1)) for side in cells)
    factor = 10 ** random.uniform(-0.8, 0.8)
    output = tuple(max(1, round(side * factor)) for side in view)
    coarse = torch.randn(1, num_labels, *[1 + side // 3 for side in cells], generator=generator)
    logits = F.interpolate(coarse, cells, mode="bilinear")[0]
    logits += 10 ** random.uniform(-3, 0) * torch.randn(logits.shape, generator=generator)
    corners = torch.rand(number, 2, generator=generator)
    corners = torch.cat([corners, corners + torch.rand(number, 2, generator=generator) * 0.8], 1)
    boxes = corners * torch.tensor([output[1], output[0], output[1], output[0]])
    maps = torch.rand(number, 1, 5, 5, generator=generator)
    maps = F.interpolate(maps, (28, 28), mode="bilinear")[:, 0]
    scores = torch.rand(number, generator=generator).sort(descending=True).values
    return [maps, boxes, scores, logits], view, output
