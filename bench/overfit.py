"""Whether the training can learn at all: a few pictures to mask AP above 0.9, from nothing.

`python bench/overfit.py DATA` (a COCO folder or annotation file) takes pictures with a few large
objects, trains the small network on them without augmentation, and measures it on them; the
learning rate drops at 17 and 19 twentieths of the steps. The exit code is 1 if it stays below the
mark.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model.datasets.annotation_file import read_json
from model.datasets.sources import Source, find_source
from model.train.__main__ import main as train

_MARK = 0.9
_LEAST_SHARE = 0.04  # of the picture that every object covers
_MOST_OBJECTS = 3
_RATES = {"sgd": 0.02, "adamw": 1e-3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a COCO folder or annotation file")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--short-side", type=int, default=256)
    parser.add_argument("--optimizer", choices=tuple(_RATES), default="adamw")
    parser.add_argument("--lr", type=float, help="(sgd 0.02, adamw 0.001)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backbone-weights", default="none")
    parser.add_argument("--output", type=Path, help="the run's folder (a temporary one)")
    args = parser.parse_args()
    with TemporaryDirectory() as scratch:
        source = find_source(args.data)
        subset = write_subset(source, args.pictures, Path(scratch) / "overfit.json")
        folder = args.output or Path(scratch) / "run"
        begun = time.perf_counter()
        code = train(_arguments(args, f"{subset}:{source.images}", folder))
        if code != 0:
            return code
        reports = (folder / "evaluations.jsonl").read_text().splitlines()
        minutes = (time.perf_counter() - begun) / 60
    mask = json.loads(reports[-1])["mask"]
    print(f"mask AP {mask['AP']:.3f}, AP50 {mask['AP50']:.3f} in {minutes:.1f} minutes")
    return 0 if mask["AP"] > _MARK else 1


def write_subset(source: Source, number: int, path: Path) -> Path:
    """Write the annotations of the first so many pictures with a few large objects."""
    document = read_json(source.annotations)
    rows: dict[Any, list[dict[str, Any]]] = {}
    for row in document["annotations"]:
        rows.setdefault(row["image_id"], []).append(row)
    easy = [p for p in document["images"] if _is_easy(p, rows.get(p["id"], []))]
    chosen = easy[:number]
    if len(chosen) < number:
        raise SystemExit(f"only {len(chosen)} pictures have a few large objects; {number} wanted")
    annotations = [row for picture in chosen for row in rows[picture["id"]]]
    path.write_text(json.dumps({**document, "images": chosen, "annotations": annotations}))
    return path


def _is_easy(picture: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    least = _LEAST_SHARE * picture["height"] * picture["width"]
    return 0 < len(rows) <= _MOST_OBJECTS and all(
        row["area"] > least and row.get("segmentation") and not row.get("iscrowd") for row in rows
    )


def _arguments(args: argparse.Namespace, data: str, folder: Path) -> list[str]:
    side = str(args.short_side)
    options = {
        "--config": "small",
        "--data": data,
        "--eval-data": data,
        "--output": str(folder),
        "--device": args.device,
        "--backbone-weights": args.backbone_weights,
        "--short-side": side,
        "--train-sides": side,
        "--flip": "0",
        "--batch-size": str(args.pictures // 2),
        "--iterations": str(args.steps),
        "--warmup": "20",
        "--steps": f"{args.steps * 17 // 20},{args.steps * 19 // 20}",
        "--optimizer": args.optimizer,
        "--lr": str(_RATES[args.optimizer] if args.lr is None else args.lr),
        "--precision": args.precision,
        "--ema": "0",
        "--workers": "1",
    }
    faster = ["--channels-last"] if args.precision == "bf16" else []
    return [part for pair in options.items() for part in pair] + faster


if __name__ == "__main__":
    sys.exit(main())
