"""Reads `.pth` and `.pkl` files without running anything that they ask for.

Tensors, arrays, numbers, text and containers come back, and empty stand-ins for a few harmless
things (`inert.py`). A file that names anything else is refused, and the error says what it
asked for.
"""

from __future__ import annotations

import errno
import pickle
import pickletools
import re
import struct
import threading
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from model.checkpoints.inert import INERT_STAND_INS
from model.checkpoints.pickled_arrays import NUMPY_STAND_INS, LatinBytes
from model.files import unreadable

_CONTAINERS: dict[str, type] = {
    f"{module}.{name}": kind
    for module in ("builtins", "__builtin__")
    for name, kind in (("set", set), ("frozenset", frozenset))
}
_ALLOWED: dict[str, type] = {
    **NUMPY_STAND_INS,
    **INERT_STAND_INS,
    **_CONTAINERS,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": LatinBytes,
    "builtins.bytes": LatinBytes,
    "__builtin__.bytes": LatinBytes,
}
# What a damaged or hostile file makes the readers raise, besides OSError.
_READING_ERRORS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_PICKLES_IN_A_LEGACY_FILE = 5
# What torch allows while a file is read, and which warnings show, hold for all threads.
_ONE_READER = threading.Lock()
_REFUSED_BY_TORCH = re.compile(r"GLOBAL (\S+)")


class _Unpickler(pickle._Unpickler):
    """The one in Python: the one in C takes 32 GB for six bytes that name a high memo index."""

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{module}.{name}"
        if wanted not in _ALLOWED:
            raise _Refusal(wanted)
        return _ALLOWED[wanted]


class _Refusal(pickle.UnpicklingError):
    """The pickle asked for a global that is not on the list."""


def read_pickle(path: Path) -> object:
    """Return what a plain pickle holds; numpy arrays come as `PickledArray`.

    Raises:
        ValueError: it asks for another global, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except _Refusal as error:
        raise _refused(path, str(error)) from None
    except OSError as error:
        raise unreadable(path, error) from None
    except _READING_ERRORS as error:
        raise _damaged(path, error) from None


def read_torch(path: Path, *, zipped: bool) -> object:
    """Return what `torch.save` wrote: tensors on the CPU, numpy arrays as `PickledArray`.

    Args:
        zipped: whether it is a file of PyTorch 1.6 or later. Its tensors are mapped from the
            file, so what nobody touches (an optimiser's state) is never read.
    Raises:
        ValueError: it asks for another global, or is damaged.
    """
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (stand_in, name) for name, stand_in in {**NUMPY_STAND_INS, **INERT_STAND_INS}.items()
    ]
    if zipped:
        _check_archive(path)
    try:
        with (
            _ONE_READER,
            warnings.catch_warnings(),
            torch.serialization.safe_globals(stand_ins),
        ):
            warnings.simplefilter("ignore")
            # By its name alone torch would take a file for safetensors; an open file has none.
            if zipped and path.suffix != ".safetensors":
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except OSError as error:
        if error.errno == errno.EINVAL:  # A seek to before the start: the end is missing.
            raise _damaged(path, error) from None
        raise unreadable(path, error) from None
    except _READING_ERRORS as error:
        raise _explained(path, error, zipped=zipped) from None


def _check_archive(path: Path) -> None:
    """Raise if the archive is not one of `torch.save`, which stores and never compresses.

    Compressed, a small file may hold any number of gigabytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            packed = [e.filename for e in archive.infolist() if e.compress_type != 0]
    except (OSError, *_READING_ERRORS):
        return  # torch says what is wrong with it.
    # A TorchScript program has compressed code; torch refuses it before it reads any.
    if packed and not any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(
            f"{path} is a zip archive with compressed files in it, {packed[0]!r} the first, and "
            "torch.save compresses none; unpack it: the weights file inside would be right, or, "
            "if it was packed from a checkpoint's own parts, zip -0"
        )


def _explained(path: Path, error: Exception, *, zipped: bool) -> ValueError:
    """Return one clear sentence for what torch refused."""
    text = str(error)
    if "TorchScript" in text:
        return ValueError(
            f"{path} is a TorchScript program; a checkpoint with tensors would be right"
        )
    named = _REFUSED_BY_TORCH.search(text)
    wanted = _foreign_global(path, zipped=zipped) or (named.group(1) if named else None)
    if wanted is not None:
        return _refused(path, wanted)
    if "Unsupported operand" in text:
        return ValueError(
            f"{path} is written with a pickle protocol that cannot be read safely; "
            "torch.save with its default protocol would be right"
        )
    return _damaged(path, error)


def _refused(path: Path, wanted: str) -> ValueError:
    return ValueError(
        f"{path} asks to run {wanted!r} while it is read, and nothing was run; "
        "a checkpoint with only tensors, numbers, text and containers would be right"
    )


def _damaged(path: Path, error: BaseException) -> ValueError:
    first_line = re.sub(r"\s+", " ", str(error).split("\n", 1)[0])[:120]
    reason = f"{type(error).__name__}: {first_line}".rstrip(": ")
    return ValueError(f"{path} is truncated or damaged ({reason})")


def _foreign_global(path: Path, *, zipped: bool) -> str | None:
    """Return the first global that a refused file names and torch would never allow."""
    try:
        if not zipped:
            with path.open("rb") as file:
                return next(
                    (g for _ in range(_PICKLES_IN_A_LEGACY_FILE) for g in _named_globals(file)),
                    None,
                )
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            with archive.open(name) as file:
                return next(iter(_named_globals(file)), None)
    except (OSError, StopIteration, *_READING_ERRORS):
        return None


def _named_globals(file: IO[bytes]) -> list[str]:
    """Return the foreign globals of one pickle, read without running it."""
    found: list[str] = []
    memo: dict[int, str] = {}
    strings: list[str] = []
    try:
        for opcode, arg, _ in pickletools.genops(file):
            if opcode.name in ("GLOBAL", "INST"):
                found.append(".".join(str(arg).split(" ", 1)))
            elif opcode.name == "STACK_GLOBAL":
                found.append(".".join(strings[-2:]))
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else ""
            elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[int(str(arg))] = strings[-1] if strings else ""
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                strings.append(memo.get(int(str(arg)), ""))
            elif isinstance(arg, str):
                strings.append(arg)
    except ValueError:
        pass  # A damaged tail: what was named before it still counts.
    return [g for g in found if g not in _ALLOWED and not g.startswith(("torch.", "collections."))]
