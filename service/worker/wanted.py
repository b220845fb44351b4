"""Which pictures are in the worker, and which of them nobody waits for any more."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Wanted:
    """Pictures by the server's numbers for them. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the following
        self._here: set[int] = set()
        self._unwanted: set[int] = set()

    def enter(self, items: Iterable[int]) -> None:
        """Note that pictures have come."""
        with self._lock:
            self._here.update(items)

    def leave(self, item: int) -> None:
        """Note that a picture is done with."""
        with self._lock:
            self._here.discard(item)
            self._unwanted.discard(item)

    def drop(self, item: int) -> None:
        """Note that nobody waits for a picture; one that is done with is not remembered."""
        with self._lock:
            if item in self._here:
                self._unwanted.add(item)

    def __contains__(self, item: int) -> bool:
        return item not in self._unwanted
