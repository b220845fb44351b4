"""Makes the bundled model from nothing: `python scripts/demo_weights.py DATA STUFF`.

DATA holds three parts of COCO 2017, each an annotation file and a folder of pictures, and what to
measure on in the end:

    instances_train.json, train/                     all 80 classes labelled
    instances_person_all80_boxes.json, person/       boxes of all classes, masks of people
    instances_traffic.json, traffic/                 some classes labelled
    eval/instances.json, panoptic.json, images/, panoptic/

STUFF holds a folder of maps for each part (`demo_data.py`). The detector's weights are fetched
with npm and stay as they are; bases, attentions and the semantic head are trained. Weights and
threshold are chosen on pictures held out of `train`; `eval` is measured once, at the end, and the
figures of the model card and the picture of the curves are filled in. A run that was stopped goes
on when the same command is given again; `--trained` takes a run that has ended elsewhere.
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
from typing import Any

import torch
from demo_data import HOLD_OUT, PARTS, STUFF_IDS, prepare_data
from model_card import fill, training_hours
from nanodet_weights import PACKAGE, fetch_nanodet, nanodet_tensors
from stuff_pixels import measure_stuff
from training_curves import draw

from model.categories import Categories
from model.checkpoints import checkpoint as checkpoints
from model.checkpoints.checkpoint import Checkpoint
from model.coco_categories import COCO_PANOPTIC
from model.convert import halved
from model.network.blendmask import BlendMask
from model.prediction.predictor import Predictor
from model.train.recipes.small import SMALL, small_2_model
from model.train.starting_weights.initialise import initialise

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "model" / "weights" / "small.safetensors"
CARD = ROOT / "docs" / "models" / "small.md"
CURVES = ROOT / "docs" / "pictures" / "training-small.svg"

# A part named twice is seen twice as often: the fully labelled one has most masks a picture.
SEEN = ("train", "train", "person", "traffic")
SEED = 1
RECIPE = (
    "--freeze backbone --freeze head --own-boxes 3 --batch-size 8 --precision bf16 --channels-last "
    f"--workers 1 --seed {SEED} --optimizer adamw --lr 1.5e-3 --train-sides 256,288,320,352,384 "
    "--scale-jitter 0.8 1.5 --colour-jitter 0.2 --ema 0.998 --warmup 50 --iterations 760 "
    "--steps 623 --evaluate-every 0 --checkpoint-every 50 --pictures 0"
)
CHOSEN = "best"  # by mask AP on the pictures held out

LICENCE = (
    f"Apache-2.0; detector: NanoDet-g (Apache-2.0) out of {PACKAGE} (MIT); trained on COCO 2017 "
    "(annotations CC BY 4.0), stuff labelled by a DeepLabV3+ (Apache-2.0) that learnt from ADE20K"
)


def main() -> int:
    """Run the command line and return the exit code."""
    args = _parse()
    run: Path = args.run
    if not args.trained:
        start = run / "start.safetensors"
        if not start.is_file():
            checkpoints.save(start, starting_point(fetch_nanodet(run / "nanodet")))
        if not (run / "data" / f"instances_{HOLD_OUT}.json").is_file():
            prepare_data(args.data, args.stuff, run / "data")
        command = training_command(args.data, run)
        code = subprocess.run([sys.executable, *command], env=_environment()).returncode
        if code != 0:
            return code
    chosen = run / "trained" / f"{CHOSEN}.safetensors"
    export(chosen, args.weights)
    report = measure(args.weights, args.data, run / "report.json")
    predictor = Predictor.load(str(args.weights), device="cpu")
    args.curves.parent.mkdir(parents=True, exist_ok=True)
    draw(run / "trained", args.curves)
    fill(
        args.card,
        report=report,
        stuff=measure_stuff(predictor, args.data / "eval"),
        weights=args.weights,
        commands=[_told()],
        hours=training_hours(chosen),
        hardware=args.hardware or _hardware(),
    )
    return 0


def starting_point(graph: Path) -> Checkpoint:
    """Return a whole network with NanoDet-g's detector in it; all else starts at random."""
    stuff = tuple(c for c in COCO_PANOPTIC.stuff if c.id in STUFF_IDS)
    config = small_2_model(num_stuff=len(stuff))
    torch.manual_seed(SEED)
    network = BlendMask(config)
    initialise(network, backbone=None, freeze_at=0)
    return Checkpoint(
        config=config,
        categories=Categories(name="coco", things=COCO_PANOPTIC.things, stuff=stuff),
        tensors={**network.state_dict(), **nanodet_tensors(graph)},
        sha256="",
        provenance={"source": f"NanoDet-g out of {PACKAGE}", "licence": LICENCE},
    )


def training_command(data: Path, run: Path) -> list[str]:
    """Return the arguments of Python that train, and go on with what was trained."""
    command = ["-m", "model.train", "--weights", str(run / "start.safetensors"), *RECIPE.split()]
    for part in SEEN:
        command += ["--data", f"{run}/data/instances_{part}.json:{data}/{part}"]
    command += ["--eval-data", f"{run}/data/instances_{HOLD_OUT}.json:{data}/train"]
    return [*command, "--output", str(run / "trained"), "--resume"]


def export(trained: Path, target: Path) -> None:
    """Write a trained checkpoint as it is shipped: kernels in half precision, called `small`.

    Raises:
        ValueError: it cannot be read or written, or is of other classes.
    """
    found = checkpoints.load(trained)
    if found.categories.things != COCO_PANOPTIC.things:
        raise ValueError(f"{trained} tells other classes apart than COCO's 80")
    shipped = replace(
        found,
        config=replace(found.config, name=SMALL),
        categories=replace(found.categories, name=COCO_PANOPTIC.name),
        provenance={**found.provenance, "licence": LICENCE, "source_sha256": found.sha256},
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(target, halved(shipped))


def measure(weights: Path, data: Path, report: Path) -> dict[str, Any]:
    """Return the report of `python -m model.evaluate` on instances and partitions."""
    folder = data / "eval"
    command = [sys.executable, "-m", "model.evaluate", "--weights", str(weights)]
    command += ["--annotations", str(folder / "instances.json"), "--images", str(folder / "images")]
    command += ["--panoptic", str(folder / "panoptic.json")]
    command += ["--panoptic-folder", str(folder / "panoptic"), "--common-classes"]
    command += ["--output", str(report)]
    subprocess.run(command, check=True, env=_environment())
    found: dict[str, Any] = json.loads(report.read_bytes())
    return found


def _told() -> str:
    """Return the training's command as text, with names in place of this machine's folders."""
    text = shlex.join(["python", *training_command(Path("DATA"), Path("RUN"))])
    for option in ("--optimizer", "--train-sides", "--iterations", "--data", "--output"):
        text = text.replace(f" {option} ", f" \\\n    {option} ")
    return text


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _hardware() -> str:
    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} CPU cores ({names[0] if names else platform.machine()}), no GPU"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the bundled model from nothing.")
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help=f"the folder with {', '.join(PARTS)} and eval/")
    add("stuff", type=Path, metavar="STUFF", help="the folder with a folder of maps for each")
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
