from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor

from model import ops, ops_panoptic_reference

needs_compiler = pytest.mark.skipif(
    not ops.is_compiled("panoptic_merge", "cpu"), reason="the CPU operations were not built"
)


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


@needs_compiler
@pytest.mark.parametrize("seed", range(120))
def test_compiled_partition_is_the_references(seed: int) -> None:
    tensors, view, output = random_scene(seed)
    values = (*tensors, *view, *output, 0.5, 0.3, 0.4, seed % 7 * 20)
    compiled = torch.ops.blendmask.panoptic_merge(*values)
    expected = ops_panoptic_reference.panoptic_merge(*values)
    ids, sources, areas, boxes, counts, offsets = compiled
    assert torch.equal(sources, expected[1])
    differs = ids != expected[0]
    if differs.any():  # only where two labels are equal to rounding
        full = F.interpolate(tensors[3][None].double(), scale_factor=4.0, mode="bilinear")
        full = F.interpolate(full[:, :, : view[0], : view[1]], output, mode="bilinear")
        best = full[0].topk(2, dim=0).values
        assert ((best[0] - best[1]).abs()[differs] < 1e-5).all()
    for number in range(len(sources)):
        region = np.asfortranarray((ids == number + 1).numpy()).astype(np.uint8)
        text = ops.compress_rle(counts, offsets[number : number + 2])[0]
        theirs = coco_mask.encode(region)
        assert bytes(text.tolist()) == theirs["counts"]
        assert areas[number] == region.sum()
        assert boxes[number].tolist() == coco_mask.toBbox(theirs).tolist()


def test_operation_keeps_the_dispatchers_rules() -> None:
    tensors, view, output = random_scene(3)
    values = (*tensors, *view, *output, 0.5, 0.3, 0.4, 10)
    torch.library.opcheck(torch.ops.blendmask.panoptic_merge.default, values)
