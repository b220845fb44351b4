"""Which kind of weights file this is, by its content; a name proves nothing."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path
from typing import Literal

from model.files import unreadable

FileKind = Literal["safetensors", "torch_zip", "torch_legacy", "pickle"]

_HEAD_BYTES = 512
_MAX_SAFETENSORS_HEADER = 100_000_000
_TORCH_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# A pickle without a protocol mark starts by naming a global or opening a container.
_OLD_PICKLE_STARTS = b"c(}]"

_OTHER_CONTENTS = (
    (
        b"<",
        "is a web page or XML, not weights; the link probably leads to a page with the download",
    ),
    (b"version https://git-lfs", "is a Git LFS pointer, not the weights; fetch them: git lfs pull"),
    (b"{", "is JSON, not weights"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it first"),
)


def file_kind(path: Path) -> FileKind:
    """Return the kind of weights file.

    Raises:
        ValueError: it is none, or it cannot be read; one sentence says what it is instead.
    """
    try:
        if path.is_fifo():
            raise ValueError(f"{path} is a pipe; a weights file would be right")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    if not head:
        raise ValueError(f"{path} is empty; weights would be right")
    if head.startswith(b"PK\x03\x04"):
        return "torch_zip"
    if _is_safetensors(head):
        return "safetensors"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, meaning in _OTHER_CONTENTS:
        if text.startswith(start):
            raise ValueError(f"{path} {meaning}")
    if head[0] == 0x80 or head[:1] in _OLD_PICKLE_STARTS:
        return "torch_legacy" if _starts_with_magic(head) else "pickle"
    if _starts_with_magic(head):
        return "torch_legacy"
    raise ValueError(
        f"{path} is no weights file: it starts with {head[:8]!r}; "
        "a safetensors, .pth or .pkl file would be right"
    )


def _is_safetensors(head: bytes) -> bool:
    """Whether it opens with the length of a header and the header's brace."""
    if len(head) < 9 or head[8:9] != b"{":
        return False
    return 2 <= int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER


def _starts_with_magic(head: bytes) -> bool:
    """Whether the first pickle is the number that opens PyTorch's files of before 1.6."""
    try:
        return any(arg == _TORCH_LEGACY_MAGIC for _, arg, _ in pickletools.genops(io.BytesIO(head)))
    except ValueError:
        return False
