"""Stage times of `Predictor` on one photo, with the compiled operations and without.

    python bench/stages.py [--threads 2] [--repeats 5] CONFIGURATION...

The weights are the synthetic ones of tests/golden: times are those of the real network, the
number of instances is whatever such weights find. The photo is enlarged to each of the sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import goldens
from machine import machine
from mask_scenes import SIZES

from model.operations import panoptic_reference, reference
from model.prediction.predictor import Predictor
from model.prediction.stages import StageTimes

STAGES = ("preprocess", "forward", "postprocess")


@contextlib.contextmanager
def plain_references() -> Iterator[None]:
    """Use the references of all operations inside the `with` block."""
    with contextlib.ExitStack() as stack:
        for module, name in (
            (reference, "paste_rle"),
            (reference, "compress_rle"),
            (reference, "blend"),
            (panoptic_reference, "panoptic_merge"),
        ):
            plain = getattr(module, name)
            stack.enter_context(mock.patch.object(torch.ops.blendmask, name, plain))
        yield


def seconds(predictor: Predictor, image: np.ndarray, repeats: int) -> tuple[dict[str, float], int]:
    """Return the median seconds of each stage and the number of results."""
    runs = []
    for _ in range(repeats + 1):
        stages = StageTimes()
        if predictor.config.semantic is None:
            number = len(predictor.segment([image], stages=stages)[0])
        else:
            number = len(predictor.panoptic([image], stages=stages)[0].segments)
        runs.append(dict(stages.seconds))
    return {name: statistics.median(run[name] for run in runs[1:]) for name in STAGES}, number


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("configurations", nargs="+")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"# Stage times, {arguments.threads} threads\n\n{machine()}. Milliseconds, medians.\n")
    print("| configuration | picture | results | operations | " + " | ".join(STAGES) + " |")
    print("|---|---|---:|---|" + "---:|" * len(STAGES))
    for name in arguments.configurations:
        with tempfile.TemporaryDirectory() as folder:
            predictor = goldens.predictor(name, Path(folder))
        photo = goldens.image(goldens.photos(name)[0])
        for size, (height, width) in SIZES.items():
            image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_CUBIC)
            for operations in ("reference", "compiled"):
                plain = operations == "reference"
                with plain_references() if plain else contextlib.nullcontext():
                    times, number = seconds(predictor, image, arguments.repeats)
                row = " | ".join(f"{times[stage] * 1e3:.0f}" for stage in STAGES)
                print(f"| {name} | {size} | {number} | {operations} | {row} |", flush=True)


if __name__ == "__main__":
    main()
