from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from scenes import random_scene

from model.operations import ops, panoptic_reference

needs_compiler = pytest.mark.skipif(
    not ops.is_compiled("panoptic_merge", "cpu"), reason="the CPU operations were not built"
)


@needs_compiler
@pytest.mark.parametrize("seed", range(120))
def test_compiled_partition_is_the_references(seed: int) -> None:
    tensors, view, output = random_scene(seed)
    values = (*tensors, *view, *output, 0.5, 0.3, 0.4, seed % 7 * 20)
    compiled = torch.ops.blendmask.panoptic_merge(*values)
    expected = panoptic_reference.panoptic_merge(*values)
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
