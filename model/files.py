"""Files read and written whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = False, previous: Path | None = None) -> Iterator[Path]:
    """Yield where to write a file so that it appears under its path whole, or not at all.

    That is a file beside it, which takes the path when the block ends well; whatever else ends
    the block, it is removed and what was at the path stays. A pipe or a device is yielded itself.

    Args:
        path: of the file; its folder must be there.
        durable: wait for the disk, so that a power cut leaves the old file or the new one.
        previous: the name that what was at the path gets, instead of being lost.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    # Without the file's name, which may be as long as the system allows.
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield partial
        if durable:
            _sync(partial)
        if previous is not None and path.exists():
            path.replace(previous)
        partial.replace(path)
        if durable:
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all; a pipe or a device is written to as it is."""
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(data)


def can_be_written(path: Path) -> bool:
    """Tell whether there may be a file, a pipe or a device to write to, before it is tried."""
    if path.exists() and not path.is_file():
        return not path.is_dir() and os.access(path, os.W_OK)
    return os.access(path.parent, os.W_OK)


def clear_partial_files(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder."""
    for partial in folder.glob(".*.part"):
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the hex digest of the file's bytes, read piece by piece."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> ValueError:
    """Return the error for a file that the system does not hand over."""
    if isinstance(error, FileNotFoundError):
        return ValueError(f"there is no file {path}")
    if isinstance(error, IsADirectoryError):
        return ValueError(f"{path} is a directory; a weights file would be right")
    return ValueError(f"{path} cannot be read: {error.strerror or error}")


def _sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
