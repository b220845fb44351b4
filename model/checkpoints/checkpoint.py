"""Weights and the configuration they belong to, in one file.

Our file is a safetensors file whose header holds one text, `blendmask`: JSON with the format's
version, the configuration, the categories and where the weights came from. AdelaiDet's and
detectron2's files are read too (`tensor_names.py` has the names); nothing in a file is ever run.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from model.categories import Categories
from model.checkpoints.describe import is_training_only
from model.checkpoints.fit import check_finite, check_fit, drop_unread, infer_config
from model.checkpoints.tensor_file import TensorFile, read_tensor_file
from model.checkpoints.tensor_names import is_backbone_only, our_names
from model.coco_categories import default_categories
from model.config import ModelConfig
from model.files import replacing
from model.network.blendmask import BlendMask
from model.presets import PRESETS
from model.version import DISTRIBUTION, installed_version

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_HEADER = "blendmask"
_FORMAT_NAMES = {
    "safetensors": "safetensors",
    "torch_zip": "PyTorch checkpoint",
    "torch_legacy": "PyTorch checkpoint (before 1.6)",
    "pickle": "pickle",
}
_LICENCE_UNKNOWN = (
    "not stated in the file; weights released with AdelaiDet are for non-commercial use only"
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network's weights, how it is built, and what its classes mean.

    tensors: our names, on the CPU, in the precision they are stored in.
    sha256: hex digest of the file's bytes. provenance: where the weights came from, in words;
    "name" is that of the training run that made them.
    """

    config: ModelConfig
    categories: Categories
    tensors: dict[str, Tensor]
    sha256: str
    provenance: dict[str, str]

    @property
    def name(self) -> str:
        """What to call the model: as its training run, or else as its configuration."""
        return self.provenance.get("name") or self.config.name


def load(
    path: str | Path,
    *,
    config: ModelConfig | None = None,
    categories: Categories | None = None,
    member: str | None = None,
) -> Checkpoint:
    """Return a checkpoint: our file, AdelaiDet's or detectron2's, judged by its content.

    Args:
        config: None takes our file's own, else the released one that the tensors fit.
        categories: None takes our file's own, else what networks of that size are trained on.
        member: which network to take where the file holds several.
    Raises:
        ValueError: the file cannot be read, asks to run something, is a bare backbone or
            another network, holds several or values that are no numbers, or does not fit the
            configuration or the categories.
    """
    path = Path(path)
    file = read_tensor_file(path, member=member)
    if is_backbone_only(file.tensors):
        raise ValueError(
            f"{path} is an ImageNet backbone only, a start for training; "
            "a whole BlendMask network would be right"
        )
    header = _header(file, path)
    try:
        tensors = {new: file.tensors[old] for old, new in our_names(file.tensors).items()}
        if header:
            config = config or ModelConfig.from_dict(header["config"])
            categories = categories or Categories.from_dict(header["categories"])
        inferred = config is None
        if config is None:
            config = infer_config(tensors, hint=path.stem)
        else:
            check_fit(tensors, config)
        categories = _suitable(categories, config)
        tensors = drop_unread(tensors, config)
        check_finite(tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Checkpoint(
        config=config,
        categories=categories,
        tensors=tensors,
        sha256=file.sha256,
        provenance=header.get("provenance") or _provenance(file, path, config, inferred=inferred),
    )


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write our file, whole or not at all; `load` gives the same checkpoint back.

    Raises:
        ValueError: the tensors do not fit the configuration or are no numbers, or the file
            cannot be written.
    """
    path = Path(path)
    check_fit(checkpoint.tensors, checkpoint.config)
    check_finite(checkpoint.tensors)
    _suitable(checkpoint.categories, checkpoint.config)
    header = {
        "format_version": FORMAT_VERSION,
        "config": checkpoint.config.to_dict(),
        "categories": checkpoint.categories.to_dict(),
        "provenance": checkpoint.provenance,
    }
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} cannot be written: weights need a file of their own")
    try:
        with replacing(path, durable=True) as partial:
            partial.touch()
            mode = partial.stat().st_mode  # The writer below would leave it to its owner alone.
            save_file(tensors, partial, metadata={_HEADER: json.dumps(header, sort_keys=True)})
            partial.chmod(mode)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} cannot be written: {reason}") from None


def build_model(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> BlendMask:
    """Return the network with the weights in it, in float32, for prediction only.

    What only training reads and the checkpoint lacks keeps its starting values.

    Raises:
        ValueError: the tensors do not fit the configuration.
    """
    check_fit(checkpoint.tensors, checkpoint.config)
    model = BlendMask(checkpoint.config)
    lacking, _ = model.load_state_dict(checkpoint.tensors, strict=False)
    assert all(is_training_only(name) for name in lacking), lacking
    return model.eval().requires_grad_(False).to(device)


def _header(file: TensorFile, path: Path) -> dict[str, Any]:
    """Return what our file says of itself; empty for another program's file."""
    if _HEADER not in file.metadata:
        return {}
    try:
        header = json.loads(file.metadata[_HEADER])
        version = int(header["format_version"])
        missing = {"config", "categories"} - set(header)
        if missing:
            raise KeyError(*sorted(missing))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has a damaged header ({type(error).__name__}: {error})") from None
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} is of format {version}; this program reads up to {FORMAT_VERSION}: update it"
        )
    assert isinstance(header, dict)
    return header


def _suitable(categories: Categories | None, config: ModelConfig) -> Categories:
    """Return the categories, or those of a network of that size.

    Raises:
        ValueError: there are more or fewer than the network tells apart.
    """
    num_things = config.fcos.num_classes
    num_stuff = config.semantic.num_classes - 1 if config.semantic else 0
    if categories is None:
        return default_categories(num_things, num_stuff)
    counts = len(categories.things), len(categories.stuff)
    if counts != (num_things, num_stuff):
        raise ValueError(
            f"the categories {categories.name!r} are {counts[0]} things and {counts[1]} kinds of "
            f"stuff; the network tells {num_things} and {num_stuff} apart"
        )
    return categories


def _provenance(
    file: TensorFile, path: Path, config: ModelConfig, *, inferred: bool
) -> dict[str, str]:
    origin = "inferred from the tensors" if inferred else "given"
    if inferred and config != PRESETS[config.name]:
        origin += ", the numbers of classes too"
    return {
        "source": path.name,
        "source_format": _FORMAT_NAMES[file.kind],
        "source_sha256": file.sha256,
        "configuration": f"{config.name}, {origin}",
        "licence": _LICENCE_UNKNOWN,
        "read_by": f"{DISTRIBUTION} {installed_version()}",
    }
