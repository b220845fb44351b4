"""When a save is due by the clock: a killed run must not cost more than minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_AFTER_S = 10.0
_EVERY_S = 600.0


class SaveTimer:
    """Due soon after the start, then whenever ten minutes have gone by since the last save.

    Args:
        clock: seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at = clock() + _FIRST_AFTER_S

    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self._clock() >= self._due_at

    def restart(self) -> None:
        """Take note of a save, or of an attempt."""
        self._due_at = self._clock() + _EVERY_S
