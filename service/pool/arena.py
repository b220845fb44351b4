"""Shared memory of a fixed size, in which the encoded pictures wait for their worker.

The server writes a picture's bytes once; the worker process maps the same memory and reads
them where they lie. The memory has no name, so nothing is left behind whoever dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from bisect import bisect_left, insort
from pathlib import Path

from service.configuration.machine import available_bytes

# Neighbours never share a cache line, and no hole is too small to be of use.
_UNIT_BYTES = 64
_SHARED_FOLDER = Path("/dev/shm")


class Arena:
    """The server's side: hands out stretches of the memory and takes them back.

    The first hole that is large enough is used, lowest address first: a page that was never
    needed is never touched, and costs nothing.

    Args:
        num_bytes: its size for good.
    Raises:
        ValueError: so much memory is not to be had; says how much is.
    """

    def __init__(self, num_bytes: int) -> None:
        if num_bytes < 1:
            raise ValueError(f"the memory for waiting images has {num_bytes} bytes; 1 or more")
        self.num_bytes = _round_up(num_bytes)
        room = available_bytes()
        if room is not None and self.num_bytes > room:
            raise _too_large(self.num_bytes, room)
        self.fd = _open_memory(self.num_bytes)
        self._map = mmap.mmap(self.fd, self.num_bytes)
        self._holes = [(0, self.num_bytes)]  # (offset, length) by offset, never touching
        self._taken: dict[int, int] = {}  # offset -> length
        self.used_bytes = 0

    def put(self, data: bytes | memoryview) -> int | None:
        """Copy the bytes in; return their offset, or None when no hole is large enough now."""
        length = _round_up(max(1, len(data)))
        index = next((i for i, (_, room) in enumerate(self._holes) if room >= length), None)
        if index is None:
            return None
        offset, room = self._holes[index]
        self._holes[index : index + 1] = [(offset + length, room - length)] * (room > length)
        self._taken[offset] = length
        self.used_bytes += length
        self._map[offset : offset + len(data)] = data
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of what was put there."""
        return self._map[offset : offset + length]

    def free(self, offset: int) -> None:
        """Take back what `put` handed out. ValueError if nothing is taken there."""
        length = self._taken.pop(offset, None)
        if length is None:
            raise ValueError(f"nothing is taken at {offset}")
        self.used_bytes -= length
        index = bisect_left(self._holes, (offset, 0))
        if index < len(self._holes) and self._holes[index][0] == offset + length:
            length += self._holes.pop(index)[1]
        if index > 0 and sum(self._holes[index - 1]) == offset:
            before, room = self._holes.pop(index - 1)
            offset, length = before, room + length
        insort(self._holes, (offset, length))

    def close(self) -> None:
        """Let the memory go; processes that have mapped it keep it until they end."""
        self._map.close()
        os.close(self.fd)


class ArenaView:
    """The worker's side, read-only.

    Args:
        fd: of the arena, inherited.
        num_bytes: of the arena.
    """

    def __init__(self, fd: int, num_bytes: int) -> None:
        self._view = memoryview(mmap.mmap(fd, num_bytes, prot=mmap.PROT_READ))

    def read(self, offset: int, length: int) -> memoryview:
        """Return the bytes where they lie, without a copy. ValueError if they are not inside."""
        if offset < 0 or length < 0 or offset + length > len(self._view):
            raise ValueError(f"{length} bytes at {offset} are not in {len(self._view)}")
        return self._view[offset : offset + length]


def _round_up(num_bytes: int) -> int:
    return -(-num_bytes // _UNIT_BYTES) * _UNIT_BYTES


def _open_memory(num_bytes: int) -> int:
    """Return the descriptor of so much memory without a name."""
    if not hasattr(os, "memfd_create"):
        return _open_unlinked_file(num_bytes, _SHARED_FOLDER)
    fd = os.memfd_create("waiting-images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, num_bytes)
    # Nobody who inherits it can change its size, which would kill the others with a bus error.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def _open_unlinked_file(num_bytes: int, folder: Path) -> int:
    status = os.statvfs(folder)
    room = status.f_bavail * status.f_frsize
    if num_bytes > room:
        raise _too_large(num_bytes, room)
    fd, name = tempfile.mkstemp(dir=folder)
    Path(name).unlink()
    os.ftruncate(fd, num_bytes)
    return fd


def _too_large(num_bytes: int, room: int) -> ValueError:
    return ValueError(
        f"the memory for waiting images is {num_bytes} bytes, but only {room} are available; "
        "lower max_waiting_bytes or give the server more memory"
    )
