"""Files read and written whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def _sync_directory(directory: Path) -> None:
    """Make the new name last through a power cut, where the system can."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unreadable(path: Path, error: OSError) -> ValueError:
    """Return the error for a file that the system does not hand over."""
    if isinstance(error, FileNotFoundError):
        return ValueError(f"there is no file {path}")
    if isinstance(error, IsADirectoryError):
        return ValueError(f"{path} is a directory; a weights file would be right")
    return ValueError(f"{path} cannot be read: {error.strerror or error}")


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a pipe or a device is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the hex digest of the file's bytes, read piece by piece."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None
