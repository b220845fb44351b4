"""Pictures under which workers died: after enough deaths a picture is refused by its digest."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

# A crash is the worker's own doing, so two are enough. A signal may be an operator's or another
# program's, and a popular picture is always under way: five in a row are wanted of it. Of those
# in company one counts: a popular picture is with the guilty wherever they are.
_ENOUGH = 1.0
CRASH, KILL = 0.5, 0.2
_REMEMBERED_S = 3600.0
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Digest:
    """What a picture is known by: how many bytes it has, and their hash."""

    num_bytes: int
    hash: bytes


class PoisonList:
    """Guilt by digest. What is answered in the meantime is innocent and forgotten."""

    def __init__(self) -> None:
        # Guilt, and until when; the first to be forgotten comes first.
        self._guilt: OrderedDict[Digest, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._guilt)

    def may_know(self, num_bytes: int, now: float) -> bool:
        """Whether a picture of so many bytes may be on the list: only then is it worth hashing."""
        self._forget(now)
        return any(digest.num_bytes == num_bytes for digest in self._guilt)

    def suspect(self, digest: Digest, guilt: float, now: float, *, is_alone: bool) -> bool:
        """Note that a worker died under a picture; return whether it is refused from now on.

        Args:
            is_alone: it had no other picture that may be the guilty one.
        """
        before = self._of(digest, now)
        guilt = before + guilt if is_alone else max(before, guilt)
        self._guilt[digest] = guilt, now + _REMEMBERED_S
        self._guilt.move_to_end(digest)
        while len(self._guilt) > _MOST_REMEMBERED:
            self._guilt.popitem(last=False)
        return guilt >= _ENOUGH

    def is_suspect(self, digest: Digest, now: float) -> bool:
        """Whether a worker died under it, so that it must not have company."""
        return self._of(digest, now) > 0

    def is_refused(self, digest: Digest, now: float) -> bool:
        """Whether it killed too often."""
        return self._of(digest, now) >= _ENOUGH

    def acquit(self, digest: Digest) -> None:
        """Forget a picture that was answered."""
        self._guilt.pop(digest, None)

    def _of(self, digest: Digest, now: float) -> float:
        self._forget(now)
        return self._guilt.get(digest, (0.0, 0.0))[0]

    def _forget(self, now: float) -> None:
        while self._guilt:
            digest, (_, until) = next(iter(self._guilt.items()))
            if now < until:
                return
            del self._guilt[digest]


def digest_of(data: bytes | memoryview) -> Digest:
    """Return what a picture is known by."""
    return Digest(len(data), hashlib.blake2b(data, digest_size=16).digest())
