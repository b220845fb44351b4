"""When a save is due by the clock, and what becomes of one that fails.

A killed run must not cost more than minutes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from model.train.interrupt import StopRequest
from model.train.outputs.keeper import Keeper
from model.train.state.resume import SaveError
from model.train.state.training import Training

logger = logging.getLogger(__name__)

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


def saver(
    keeper: Keeper, training: Training, stop: StopRequest, timer: SaveTimer
) -> Callable[[], None]:
    """Return what saves; only a last save that fails ends the run with an error."""

    def save() -> None:
        timer.restart()
        try:
            keeper.save(training)
        except SaveError as error:
            if stop.signal is not None or training.iteration == training.recipe.iterations:
                raise
            logger.error("not saved, training goes on: %s", error)

    return save
