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
from model.checkpoints.wrappers import Choice, bare_names, network_in
from model.files import sha256_of, unreadable

# How much larger than the file its tensors may be: views may share numbers, but not without end.
_MOST_COPIES = 8
_FREE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a weights file holds.

    tensors: by the file's own names, but for wrappers' prefixes; on the CPU, independent of
        the file.
    metadata: the texts in a safetensors file's header; empty for the other kinds.
    sha256: hex digest of the file's bytes.
    """

    kind: FileKind
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    sha256: str


def read_tensor_file(path: Path, *, member: str | None = None) -> TensorFile:
    """Return the tensors of a safetensors, `.pth` or `.pkl` file, judged by its content.

    An optimiser's state and other members are left out.

    Args:
        member: which network to take where the file holds several.
    Raises:
        ValueError: it is no such file, is damaged, asks to run something, or holds several
            networks; one sentence.
    """
    kind = file_kind(path)
    sha256 = sha256_of(path)
    metadata: dict[str, str] = {}
    if kind == "safetensors":
        content, metadata = _read_safetensors(path)
    elif kind == "pickle":
        content = read_pickle(path)
    else:
        content = read_torch(path, zipped=kind == "torch_zip")
    try:
        tensors = _network_of(content, Choice(member), path.stat().st_size)
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}") from None
    except (AttributeError, TypeError) as error:
        # A pickle may set attributes on an ordered dictionary, its methods' names among them.
        raise ValueError(f"{path} is damaged, or made to harm ({error})") from None
    return TensorFile(kind=kind, tensors=tensors, metadata=metadata, sha256=sha256)


def _read_safetensors(path: Path) -> tuple[object, dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except OSError as error:
        raise unreadable(path, error) from None
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or damaged ({error})") from None


def _network_of(content: object, choice: Choice, file_bytes: int) -> dict[str, Tensor]:
    """Return a network's tensors, copied out of the file, by their names without wrappers'."""
    tensors = _tensors_in(network_in(content, choice))
    names = bare_names(tensors, choice)
    choice.check_met()
    for name in names:
        _check_plain(name, tensors[name])
    needed = sum(tensors[name].nbytes for name in names)
    if needed > _MOST_COPIES * file_bytes + _FREE_BYTES:
        raise ValueError(
            f"its tensors share their numbers: they would take {needed:,} bytes and the file has "
            f"{file_bytes:,}; tensors cloned before they are saved would be right"
        )
    return {
        new: tensors[old].clone(memory_format=torch.contiguous_format) for old, new in names.items()
    }


def _check_plain(name: str, tensor: Tensor) -> None:
    """Raise unless the tensor is a dense one whose numbers are in the file, and can be named."""
    if not name.isprintable():
        raise ValueError(f"a tensor is called {name!r}; a printable name would be right")
    if tensor.is_meta:
        what = "has no numbers: it was saved from the meta device"
    elif tensor.is_quantized:
        what = "is quantised"
    elif tensor.is_nested or tensor.layout != torch.strided:
        what = "is sparse or nested"
    else:
        return
    raise ValueError(f"the tensor {name} {what}; a dense one of floating point would be right")


def _tensors_in(content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise ValueError(
            f"it holds a {type(content).__name__}; named tensors would be right "
            '({"model": {name: tensor}}, or the names alone)'
        )
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, PickledScalar):
            continue
        if isinstance(value, PickledArray):
            tensors[str(name)] = torch.from_numpy(value.array)
        elif isinstance(value, Tensor):
            tensors[str(name)] = value.detach()
    if not tensors:
        members = ", ".join(map(repr, list(content)[:5])) or "nothing"
        raise ValueError(f"it has no tensors in it; it has {members}")
    return tensors
