"""From mask maps to COCO's run lengths on a GPU: our operations against pasting whole masks there.

    python bench/masks_cuda.py [--instances 100] [--repeats 20] > bench/results/masks-cuda.md

In one process and on the same inputs, which lie on the device: (1) the compiled operations and
the one copy to the host; (2) what is usual on a GPU: maps resampled over the whole picture in
chunks, the masks copied to the host, and there encoded by pycocotools. Both end with the run
lengths on the host. Partitions likewise, without the usual way's run lengths.

Times are the best of the repeats, by the wall and with the device awaited before and after. The
device's own time is that of the operations alone, without copy. Peak memory is the device's, of
one call; inputs are not counted.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mask_scenes import NUM_LABELS, SIZES, scene, semantic_logits, view_of
from masks import RULES, encode
from torch import Tensor

from model.config import PanopticConfig
from model.operations import ops
from model.prediction.panoptic import merge
from model.prediction.paste import BoxedMaps, paste

CHUNK_BYTES = 2**30  # of the masks that the usual way resamples at a time
CONFIG = PanopticConfig(min_stuff_area=RULES["min_stuff_area"])


def our_way(maps: Tensor, boxes: Tensor, height: int, width: int) -> list[bytes]:
    given = BoxedMaps(probabilities=maps, boxes_xyxy=boxes, height=height, width=width)
    return [one["counts"] for one in paste([given])[0].masks]


def our_operations(maps: Tensor, boxes: Tensor, height: int, width: int) -> None:
    counts, offsets, *_ = ops.paste_rle(maps, boxes, height, width)
    ops.compress_rle(counts, offsets)


def usual_way(maps: Tensor, boxes: Tensor, height: int, width: int) -> list[bytes]:
    x = torch.arange(width, device=maps.device) + 0.5
    y = torch.arange(height, device=maps.device) + 0.5
    number = max(1, CHUNK_BYTES // (8 * height * width))
    found = []
    for some, box in zip(maps.split(number), boxes.split(number), strict=True):
        across = (x - box[:, :1]) / (box[:, 2:3] - box[:, :1]) * 2 - 1
        down = (y - box[:, 1:2]) / (box[:, 3:] - box[:, 1:2]) * 2 - 1
        grid = torch.stack(
            [across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], dim=3
        )
        masks = F.grid_sample(some[:, None], grid, align_corners=False)[:, 0] >= 0.5
        found += [encode(mask)["counts"] for mask in masks.cpu().numpy()]
    return found


def our_partition(*values: Any) -> Any:
    maps, boxes, scores, logits, view, size = values
    classes = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    return merge(
        maps, boxes, scores, classes, logits, resized_size=view, output_size=size, config=CONFIG
    )


def partition_operations(*values: Any) -> None:
    maps, boxes, scores, logits, view, size = values
    ops.panoptic_merge(maps, boxes, scores, logits, resized_size=view, output_size=size, **RULES)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    work: Callable[..., Any], values: Any, repeats: int, device: torch.device
) -> tuple[float, float, Any]:
    """Return the best time in milliseconds, the device's peak in MB, and the last result."""
    result = work(*values)  # the first call also checks the kernels
    wait(device)
    peak = 0.0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work(*values)
        peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work(*values)
        wait(device)
        times.append(time.perf_counter() - start)
        if sum(times) > 10:
            break
    return min(times) * 1e3, peak, result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cpu tries the program itself")
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"# Masks to run lengths, {name}\n\ntorch {torch.__version__}, {datetime.date.today()}.")
    print(f"Compiled: {ops.is_compiled('paste_rle', device)}. {arguments.instances} instances.")
    print("\n| picture | what | ours, ms | MB | operations alone, ms | usual, ms | MB | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for picture, size in SIZES.items():
        maps, boxes, scores = (one.to(device) for one in scene(*size, arguments.instances))
        ours, peak, found = measure(our_way, (maps, boxes, *size), arguments.repeats, device)
        alone, _, _ = measure(our_operations, (maps, boxes, *size), arguments.repeats, device)
        usual, most, theirs = measure(usual_way, (maps, boxes, *size), 2, device)
        same = sum(a == b for a, b in zip(found, theirs, strict=True))
        print(
            f"| {picture} | masks, {same} of {len(found)} with the same bytes | {ours:.2f} | "
            f"{peak:.0f} | {alone:.2f} | {usual:.0f} | {most:.0f} | **{usual / ours:.0f}** |"
        )
        view = view_of(*size)
        values = (maps, boxes, scores, semantic_logits(view).to(device), view, size)
        ours, peak, _ = measure(our_partition, values, arguments.repeats, device)
        alone, _, _ = measure(partition_operations, values, arguments.repeats, device)
        print(
            f"| {picture} | partition, {NUM_LABELS} labels | {ours:.2f} | {peak:.0f} | "
            f"{alone:.2f} | | | |",
            flush=True,
        )


if __name__ == "__main__":
    main()
