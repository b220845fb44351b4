"""`python -m model.convert`: any weights that we read, as one file of ours.

python -m model.convert R_50_3x.pth r50.safetensors
python -m model.convert mine.pth mine.safetensors --config mine.yaml --categories coco.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from model.checkpoints.checkpoint import Checkpoint, save
from model.checkpoints.describe import describe
from model.files import sha256_of
from model.zoo.open_model import open_model


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; 0 if it worked, 2 with one line on the error stream if not."""
    options = _parser().parse_args(arguments)
    output: Path = options.output
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        _check_output(output, options.source, force=options.force)
        checkpoint = open_model(
            options.source,
            config=options.config,
            overrides=[text for pair in options.override for text in pair],
            categories=options.categories,
            member=options.member,
        )
        if options.half:
            checkpoint = halved(checkpoint)
        save(output, checkpoint)
    except ValueError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write(_report(checkpoint, output))
    return 0


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with its kernels in float16.

    Biases and normalisation keep their precision: they are small, and statistics may be large.

    Raises:
        ValueError: a weight is too large for float16.
    """
    tensors = dict(checkpoint.tensors)
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            continue
        half = tensor.to(torch.float16)
        if not torch.equal(half.isfinite(), tensor.isfinite()):
            raise ValueError(f"{name} has values too large for float16; leave --half out")
        tensors[name] = half
    provenance = {**checkpoint.provenance, "precision": "kernels rounded to float16"}
    return replace(checkpoint, tensors=tensors, provenance=provenance)


def _check_output(output: Path, source: str, *, force: bool) -> None:
    if output.is_dir() or not output.parent.is_dir():
        raise ValueError(f"{output} is not the name of a file in a folder that exists")
    if output.exists() and Path(source).exists() and output.samefile(source):
        raise ValueError(f"{output} is the source itself; give another name")
    if output.exists() and not force:
        raise ValueError(f"{output} is there already; --force replaces it")


def _report(checkpoint: Checkpoint, output: Path) -> str:
    found = describe(checkpoint.tensors)
    config, categories = checkpoint.config, checkpoint.categories
    numbers = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    backbone = f"{found.backbone}-{found.depth}" if found.depth else found.backbone
    rows = {
        "network": config.name,
        "task": found.task,
        "backbone": f"{backbone}{'' if found.deformable_interval is None else ', deformable'}",
        "levels": found.num_levels,
        "classes": f"{len(categories.things)} things, {len(categories.stuff)} kinds of stuff "
        f"({categories.name})",
        "tensors": f"{len(checkpoint.tensors)}, {numbers:,} numbers",
        "read sha256": checkpoint.sha256,
        **checkpoint.provenance,
        "written": output,
        "written sha256": sha256_of(output),
    }
    return "".join(f"{name:16}{value}\n" for name, value in rows.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.convert",
        description="Write any weights that BlendMask reads as one safetensors file with the "
        "configuration and the categories in it.",
    )
    parser.add_argument(
        "source", help="a file, a released name, owner/repo:file, or https://…#sha256=…"
    )
    parser.add_argument("output", type=Path, help="the file to write, .safetensors by custom")
    parser.add_argument("--config", help="a released configuration's name, or a YAML file")
    parser.add_argument(
        "--override",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="an AdelaiDet option; may be repeated",
    )
    parser.add_argument("--categories", type=Path, help="a COCO-style JSON file")
    parser.add_argument(
        "--member", metavar="NAME", help="which network, where the file holds several"
    )
    parser.add_argument("--half", action="store_true", help="store kernels as float16")
    parser.add_argument("--force", action="store_true", help="replace the output if it exists")
    return parser


if __name__ == "__main__":
    sys.exit(main())
