"""Speed and memory of a training step, and how long it waits for data.

    python bench/train_step.py [--configs R_50_1x ...] [--batch-size 2] [--steps 20] [--data DATA]

Each configuration is trained by `python -m model.train`'s own code, from random weights, in a
fresh process. The first steps are left out of the speed. Without --data the pictures are made up:
640×480 JPEG files with seven objects of 24-sided outlines, as many as COCO has on average. Memory
is the most that the training process held: resident on a CPU (loader processes not counted),
allocated by torch on a CUDA device. The tables go to bench/results/train-<device>.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from model.coco_categories import COCO
from model.train.__main__ import main as train
from model.train.recipes.recipe import RECIPES

_CONFIGS = ("R_50_1x", "RT_R_50_4x_syncbn_shtw")
_NUM_LEFT_OUT = 3
_NUM_PICTURES, _NUM_OBJECTS, _NUM_SIDES = 32, 7, 24


def main() -> int:
    args = _parse()
    on_cuda = args.device.startswith("cuda") or (
        args.device == "auto" and torch.cuda.is_available()
    )
    kind = "cuda" if on_cuda else "cpu"
    rows = []
    with TemporaryDirectory() as scratch:
        data = args.data or str(write_data(Path(scratch)))
        for config in args.configs:
            folder = Path(scratch) / config.replace("/", "_")
            rows.append(_in_fresh_process(_arguments(args, config, data, folder), folder))
            print(f"{config}: {_words(rows[-1])}", file=sys.stderr)
    path: Path = args.output or Path(__file__).parent / "results" / f"train-{kind}.md"
    path.write_text(_page(args, kind, rows))
    print(path)
    return 0


def write_data(folder: Path) -> Path:
    """Write a data set of made-up pictures; the same one every time."""
    chance = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir()
    for number in range(1, _NUM_PICTURES + 1):
        # All wide: the loader makes batches of one orientation.
        coarse = chance.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
        picture.save(folder / "images" / f"{number:03d}.jpg", quality=90)
        images.append({"id": number, "file_name": f"{number:03d}.jpg", "width": 640, "height": 480})
        for _ in range(_NUM_OBJECTS):
            radius = min(float(np.exp(chance.normal(3.6, 0.9))), 200.0)
            angles = np.linspace(0, 2 * np.pi, _NUM_SIDES, endpoint=False)
            reach = radius * chance.uniform(0.7, 1.0, _NUM_SIDES)
            x = chance.uniform(radius, 640 - radius) + reach * np.cos(angles)
            y = chance.uniform(radius, 480 - radius) + reach * np.sin(angles)
            box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": COCO.things[int(chance.integers(80))].id,
                    "bbox": [round(float(v), 2) for v in box],
                    "area": float(box[2] * box[3] * 0.6),
                    "iscrowd": 0,
                    "segmentation": [[round(float(v), 2) for v in np.stack([x, y], 1).ravel()]],
                }
            )
    categories = [{"id": thing.id, "name": thing.name} for thing in COCO.things]
    path = folder / "instances_train.json"
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document))
    return path


def _arguments(args: argparse.Namespace, config: str, data: str, folder: Path) -> list[str]:
    options = {
        "--config": config,
        "--data": data,
        "--output": str(folder),
        "--device": args.device,
        "--batch-size": str(args.batch_size),
        "--iterations": str(args.steps + _NUM_LEFT_OUT),
        # Random weights learn nothing here; a tiny rate keeps the numbers finite.
        "--lr": "1e-8",
        "--freeze-at": str(RECIPES[config].freeze_at),
        "--precision": args.precision,
        "--workers": str(args.workers),
        "--log-every": "1",
        "--seed": "0",
    }
    if args.short_side:
        options["--short-side"] = str(args.short_side)
    flags = ["--channels-last"] * args.channels_last + ["--compile"] * args.compile
    return [part for pair in options.items() for part in pair] + flags


def _in_fresh_process(arguments: list[str], folder: Path) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(arguments, folder, sending))
    process.start()
    sending.close()
    try:
        result: dict[str, float] = receiving.recv()
    except EOFError:
        raise SystemExit(f"no result: {' '.join(arguments)}") from None
    process.join()
    return result


def _measure(arguments: list[str], folder: Path, result: Any) -> None:
    code = train(arguments)
    if code != 0:
        sys.exit(code)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "images_per_s" in row][_NUM_LEFT_OUT:]
    batch_size = int(arguments[arguments.index("--batch-size") + 1])
    seconds = [batch_size / row["images_per_s"] for row in rows]
    waited = sum(s * row["data_wait_share"] for s, row in zip(seconds, rows, strict=True))
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    result.send(
        {
            "images_per_s": batch_size * len(rows) / sum(seconds),
            "ms_per_step": 1000 * float(np.median(seconds)),
            "data_wait_share": waited / sum(seconds),
            "peak_bytes": peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )


def _words(row: dict[str, float]) -> str:
    return (
        f"{row['images_per_s']:.3g} images/s, median step {row['ms_per_step']:.0f} ms, "
        f"waits for data {row['data_wait_share']:.2%}, peak {row['peak_bytes'] / 2**30:.2f} GiB"
    )


def _page(args: argparse.Namespace, kind: str, rows: list[dict[str, float]]) -> str:
    machine = torch.cuda.get_device_name() if kind == "cuda" else f"{os.cpu_count()} cores"
    size = f"short side {args.short_side}" if args.short_side else "the recipe's sizes"
    options = [f"batch of {args.batch_size}", size, args.precision]
    options += ["channels last"] * args.channels_last + ["compiled"] * args.compile
    memory = "allocated on the device" if kind == "cuda" else "resident"
    lines = [
        f"# A training step on {'a GPU' if kind == 'cuda' else 'a CPU'}",
        "",
        f"{machine}, {platform.machine()}, torch {torch.__version__}, "
        f"{datetime.date.today().isoformat()}.",
        f"{', '.join(options)}; {args.steps} steps after {_NUM_LEFT_OUT}; "
        f"{args.workers} loader processes; {'given' if args.data else 'made-up'} pictures.",
        "",
        f"| configuration | images/s | median step, ms | waits for data | peak memory, {memory} |",
        "|---|---:|---:|---:|---:|",
    ]
    for config, row in zip(args.configs, rows, strict=True):
        lines.append(
            f"| {config} | {row['images_per_s']:.3g} | {row['ms_per_step']:.0f} | "
            f"{row['data_wait_share']:.2%} | {row['peak_bytes'] / 2**30:.2f} GiB |"
        )
    return "\n".join(lines) + "\n"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=list(_CONFIGS), choices=list(RECIPES))
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--short-side", type=int, help="of the input (the configuration's)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", help="a COCO folder or annotation file (made up)")
    parser.add_argument("--output", type=Path, help="the page (bench/results/train-<device>.md)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
