"""The server under load, measured from outside.

    python bench/serve.py MODE... --photos FOLDER [--weights FILE] [--out bench/results/serve-cpu]
        [-- flags of the server]

Modes, any of them in one run:

- generator: what the load generator itself can do
- capacity:  closed loop with more and more clients; the most requests a second
- sweep:     open loop (Poisson) at 50, 90, 120 and 200 % of that
- overhead:  beside a bare `Predictor` loop over the same pictures, in turns
- litserve:  beside the same `Predictor` behind LitServe, in turns (pip install litserve)
- memory:    of the server's processes over --number requests
- same-bytes: answers to --number photos alone and in company, compared

Ratios are always between figures of the same run. Markdown goes to stdout or to OUT.md, with the
figures in OUT.json.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import serve_modes
import serve_versus
import torch
from machine import machine
from serve_modes import Section, Setup
from serve_weights import RANDOM, random_weights

from service.configuration.settings import Settings

MODES = ("generator", "capacity", "sweep", "overhead", "litserve", "memory", "same-bytes")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tiff", ".bmp"})


def main() -> None:
    # Told to stop: by an exception, so that the servers are stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments, flags = parse()
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.weights
        if weights in RANDOM:
            weights = str(random_weights(weights, Path(folder)))
        # As the server would choose; equal in all that are compared.
        max_batch = arguments.max_batch or (8 if torch.cuda.is_available() else 1)
        flags += ["--max-batch-images", str(max_batch)]
        setup = Setup(
            weights=weights,
            photos=find_photos(arguments.photos, arguments.seed),
            threads=arguments.threads,
            flags=flags,
            seconds=arguments.seconds,
            warm_up_s=arguments.warm_up,
            rounds=arguments.rounds,
            clients=arguments.clients,
            deadline_s=arguments.deadline,
            max_batch=max_batch,
            number=arguments.number,
            seed=arguments.seed,
        )
        described = f"{machine()}. Weights: {Path(arguments.weights).name}, "
        described += f"{arguments.threads} threads in each process that predicts, "
        described += f"{len(setup.photos)} photos, flags: {' '.join(flags) or 'none'}."
        sections = []
        for section in measure(setup, arguments.modes):
            sys.stderr.write(f"{section.title}\n")
            sections.append(section)
            if arguments.out is not None:
                write(arguments.out, described, sections)
    if arguments.out is None:
        sys.stdout.write(markdown(described, sections))


def measure(setup: Setup, modes: list[str]) -> Iterator[Section]:
    """Yield the sections of the chosen modes, in the order of `MODES` but for the servers used."""
    if "generator" in modes:
        yield serve_modes.generator(setup)
    if {"capacity", "sweep", "memory", "same-bytes"} & set(modes):
        with setup.serve() as target:
            if {"capacity", "sweep"} & set(modes):
                peak, section = serve_modes.capacity(setup, target)
                yield section
            if "sweep" in modes:
                yield serve_modes.sweep(setup, target, peak)
            if "same-bytes" in modes:
                yield serve_modes.same_bytes(replace(setup, number=200), target)
            if "memory" in modes:
                yield serve_modes.memory(setup, target)
    if "overhead" in modes:
        yield serve_versus.overhead(setup)
    if "litserve" in modes:
        yield serve_versus.litserve(setup)


def find_photos(folders: list[Path], seed: int, most: int = 500) -> list[str]:
    """Return pictures below the folders, at most so many, drawn from the seed."""
    found = [f for folder in folders for f in sorted(folder.rglob("*")) if f.suffix in _SUFFIXES]
    if not found:
        sys.exit(f"no pictures below {', '.join(map(str, folders))}")
    drawn = random.Random(seed).sample(found, min(most, len(found)))
    return [str(file.resolve()) for file in drawn]


def markdown(described: str, sections: list[Section]) -> str:
    """Return the report."""
    parts = [f"# The server under load\n\n{described}"]
    parts += [f"## {section.title}\n\n{section.text}" for section in sections]
    return "\n\n".join(parts) + "\n"


def write(out: Path, described: str, sections: list[Section]) -> None:
    """Write the report as Markdown and as JSON."""
    out.with_suffix(".md").write_text(markdown(described, sections))
    data = {"machine": described, "sections": [asdict(section) for section in sections]}
    out.with_suffix(".json").write_text(json.dumps(_finite(data)))


def _finite(value: Any) -> Any:
    """Return the value with null where there is no number."""
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments, and the flags after `--`."""
    given, flags = sys.argv[1:], []
    if "--" in given:
        cut = given.index("--")
        given, flags = given[:cut], given[cut + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modes", nargs="+", choices=MODES, metavar="MODE")
    parser.add_argument("--photos", nargs="+", type=Path, required=True)
    default = Settings.model_fields["weights"].default
    parser.add_argument(
        "--weights", default=default, help=f"as the server's, or {' or '.join(RANDOM)}"
    )
    parser.add_argument("--threads", type=int, default=1, help="in each process that predicts")
    parser.add_argument("--seconds", type=float, default=20, help="of a phase, warm-up included")
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--deadline", type=float, default=30)
    parser.add_argument(
        "--max-batch", type=int, help="pictures, in all that are compared (8 on CUDA, else 1)"
    )
    parser.add_argument("--number", type=int, default=200, help="requests (memory, overhead)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="without suffix")
    return parser.parse_args(given), flags


if __name__ == "__main__":
    main()
