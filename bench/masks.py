"""From mask maps to COCO's run lengths: ours against pasting regions and encoding whole masks.

    python bench/masks.py [--threads 1] [--instances 100] [--repeats 7] > bench/results/masks-cpu.md

In one process and on the same inputs: (1) the compiled operations; (2) their plain references;
(3) what is usual on a CPU: each map resampled in the region of its box, written into a mask of
the whole picture, and that mask encoded by pycocotools. Partitions likewise, the usual way being
logits at the picture's size, their argmax, and whole masks merged one by one.

Times are the best of the repeats. Peak memory is what the process grew by at most during one
call; inputs are not counted, results are.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import machine
from mask_scenes import SIZES, scene, semantic_logits, view_of
from pycocotools import mask as coco_mask
from torch import Tensor

from model.operations import ops, panoptic_reference, reference

RULES = {"score_threshold": 0.45, "max_overlap": 0.4, "min_stuff_area": 4096}


def usual_masks(maps: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks of the whole picture, each resampled where its box is: (N, H, W) bool."""
    masks = torch.zeros(len(maps), height, width, dtype=torch.bool)
    for mask, one, box in zip(masks, maps, boxes, strict=True):
        left, top = (box[:2].floor().long() - 1).clamp(min=0).tolist()
        right, bottom = (box[2:].ceil().long() + 1).tolist()
        right, bottom = min(right, width), min(bottom, height)
        x = (torch.arange(left, right) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        region = F.grid_sample(one[None, None], grid[None], align_corners=False)[0, 0]
        mask[top:bottom, left:right] = region >= 0.5
    return masks


def encode(mask: np.ndarray) -> dict[str, Any]:
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask).view(np.uint8))
    return encoded


def usual_way(maps: Tensor, boxes: Tensor, height: int, width: int) -> list[bytes]:
    return [encode(mask)["counts"] for mask in usual_masks(maps, boxes, height, width).numpy()]


def our_way(maps: Tensor, boxes: Tensor, height: int, width: int) -> list[bytes]:
    counts, offsets, *_ = ops.paste_rle(maps, boxes, height, width)
    return split(*ops.compress_rle(counts, offsets))


def reference_way(maps: Tensor, boxes: Tensor, height: int, width: int) -> list[bytes]:
    counts, offsets, *_ = reference.paste_rle(maps, boxes, height, width, 0.5)
    return split(*reference.compress_rle(counts, offsets))


def split(text: Tensor, offsets: Tensor) -> list[bytes]:
    characters, places = text.numpy().tobytes(), offsets.tolist()
    return [characters[places[i] : places[i + 1]] for i in range(len(places) - 1)]


def usual_partition(
    maps: Tensor, boxes: Tensor, scores: Tensor, logits: Tensor, view: tuple[int, int], size: Any
) -> tuple[Tensor, list[bytes]]:
    """Ids of the whole picture, and each segment's run lengths."""
    enlarged = F.interpolate(logits[None], scale_factor=4.0, mode="bilinear")
    enlarged = enlarged[:, :, : view[0], : view[1]]
    labels = F.interpolate(enlarged, size, mode="bilinear")[0].argmax(dim=0)
    masks = usual_masks(maps, boxes, *size)
    ids = torch.zeros(size, dtype=torch.int32)
    number = 0
    for mask, score in zip(masks, scores.tolist(), strict=True):
        area = int(mask.sum())
        if score < RULES["score_threshold"] or area == 0:
            continue
        free = mask & (ids == 0)
        if (area - int(free.sum())) / area <= RULES["max_overlap"]:
            number += 1
            ids[free] = number
    for label in labels.unique().tolist():
        region = (labels == label) & (ids == 0)
        if label and int(region.sum()) >= RULES["min_stuff_area"]:
            number += 1
            ids[region] = number
    return ids, [encode((ids == one).numpy())["counts"] for one in range(1, number + 1)]


def our_partition(
    maps: Tensor, boxes: Tensor, scores: Tensor, logits: Tensor, view: tuple[int, int], size: Any
) -> tuple[Tensor, list[bytes]]:
    ids, _, _, _, counts, offsets = ops.panoptic_merge(
        maps, boxes, scores, logits, resized_size=view, output_size=size, **RULES
    )
    return ids, split(*ops.compress_rle(counts, offsets))


def reference_partition(
    maps: Tensor, boxes: Tensor, scores: Tensor, logits: Tensor, view: tuple[int, int], size: Any
) -> tuple[Tensor, list[bytes]]:
    ids, _, _, _, counts, offsets = panoptic_reference.panoptic_merge(
        maps, boxes, scores, logits, *view, *size, 0.5, *RULES.values()
    )
    return ids, split(*reference.compress_rle(counts, offsets))


def measure(work: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Return the best time in milliseconds, the peak growth in MB, and the last result."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed must not serve this one unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = status("VmRSS")
    start = time.perf_counter()
    result = work()
    times = [time.perf_counter() - start]
    peak = status("VmHWM") - before
    for _ in range(repeats - 1 if times[0] < 3 else 0):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3, peak / 1024, result


def status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def print_table(
    title: str,
    ways: dict[str, Callable[..., Any]],
    inputs: dict[str, tuple[Any, ...]],
    repeats: int,
) -> dict[str, dict[str, Any]]:
    """Print one row for each size; return each way's results for the checks."""
    print(f"\n## {title}\n")
    print("| picture | " + " | ".join(f"{way}, ms | MB" for way in ways) + " | usual ÷ ours |")
    print("|---|" + "---:|" * (2 * len(ways) + 1))
    results: dict[str, dict[str, Any]] = {}
    for size, values in inputs.items():
        row, times = [], []
        results[size] = {}
        for way, work in ways.items():
            took, peak, results[size][way] = measure(lambda w=work, v=values: w(*v), repeats)
            row.append(f"{took:.2f} | {peak:.0f}" if took < 100 else f"{took:.0f} | {peak:.0f}")
            times.append(took)
        print(f"| {size} | " + " | ".join(row) + f" | **{times[-1] / times[0]:.0f}** |", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=["masks", "partitions"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    print(f"# Masks to run lengths, {arguments.threads} thread(s)\n\n{machine()}.")
    print(f"Compiled: {ops.is_compiled('paste_rle', 'cpu')}. {arguments.instances} instances.")
    masks, partitions = {}, {}
    for name, size in SIZES.items():
        maps, boxes, scores = scene(*size, arguments.instances)
        masks[name] = (maps, boxes, *size)
        view = view_of(*size)
        partitions[name] = (maps, boxes, scores, semantic_logits(view), view, size)
    our_way(*masks["640×480"])  # threads and pages are there from the start
    if arguments.only != "partitions":
        compare_masks(masks, arguments.repeats)
    if arguments.only != "masks":
        compare_partitions(partitions, arguments.repeats)


def compare_masks(inputs: dict[str, tuple[Any, ...]], repeats: int) -> None:
    ways = {"ours": our_way, "reference": reference_way, "usual": usual_way}
    for name, by_way in print_table("Instance masks", ways, inputs, repeats).items():
        same = sum(a == b for a, b in zip(by_way["ours"], by_way["usual"], strict=True))
        exact = by_way["ours"] == by_way["reference"]
        print(f"\n{name}: bytes of the reference: {exact}; of the usual way: {same} masks.")


def compare_partitions(inputs: dict[str, tuple[Any, ...]], repeats: int) -> None:
    ways = {"ours": our_partition, "reference": reference_partition, "usual": usual_partition}
    for name, by_way in print_table("Panoptic partition", ways, inputs, repeats).items():
        differ = {way: int((by_way["ours"][0] != by_way[way][0]).sum()) for way in ways}
        print(f"\n{name}: {len(by_way['ours'][1])} segments; pixels other than ours: {differ}.")


if __name__ == "__main__":
    main()
