"""A weights file's tensors, whatever its format, under the names that it gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.checkpoints.file_kind import FileKind, file_kind
from model.checkpoints.pickled_arrays import PickledArray, PickledScalar
from model.checkpoints.unpickle import read_pickle, read_torch
from model.files import sha256_of, unreadable

# Where training programs put the tensors, besides at the root.
_TENSOR_MEMBERS = ("model", "state_dict", "blobs")


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a weights file holds.

    tensors: by the file's own names, on the CPU, independent of the file.
    metadata: the texts in a safetensors file's header; empty for the other kinds.
    sha256: hex digest of the file's bytes.
    """

    kind: FileKind
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    sha256: str


def read_tensor_file(path: Path) -> TensorFile:
    """Return the tensors of a safetensors, `.pth` or `.pkl` file, judged by its content.

    An optimiser's state and other members are left out.

    Raises:
        ValueError: it is no such file, is damaged, or asks to run something; one sentence.
    """
    kind = file_kind(path)
    sha256 = sha256_of(path)
    if kind == "safetensors":
        tensors, metadata = _read_safetensors(path)
        return TensorFile(kind=kind, tensors=tensors, metadata=metadata, sha256=sha256)
    if kind == "pickle":
        content = read_pickle(path)
    else:
        content = read_torch(path, zipped=kind == "torch_zip")
    return TensorFile(kind=kind, tensors=_tensors_in(content, path), metadata={}, sha256=sha256)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except OSError as error:
        raise unreadable(path, error) from None
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or damaged ({error})") from None


def _tensors_in(content: object, path: Path) -> dict[str, Tensor]:
    """Return the named tensors and arrays of an unpickled file, copied out of it."""
    for member in _TENSOR_MEMBERS:
        if isinstance(content, Mapping) and isinstance(content.get(member), Mapping):
            content = content[member]
            break
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} holds a {type(content).__name__}; named tensors would be right "
            '({"model": {name: tensor}}, or the names alone)'
        )
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, PickledScalar):
            continue
        if isinstance(value, PickledArray):
            tensors[str(name)] = torch.from_numpy(value.array)
        elif isinstance(value, Tensor):
            tensors[str(name)] = value.detach().clone(memory_format=torch.contiguous_format)
    if not tensors:
        members = ", ".join(map(repr, list(content)[:5])) or "nothing"
        raise ValueError(f"{path} has no tensors in it; it has {members}")
    return tensors
