"""What a batch costs, learned from those that ran: seconds = a · padded pixels + b."""

from __future__ import annotations

# How much an older batch weighs beside the one after it. A few dozen batches are remembered, so
# that another load, another clock of the device or another neighbour shows within seconds.
_MEMORY = 0.95
# Before anything ran: a guess that refuses nobody. The first warm-up replaces it, the first batch
# that one.
_GUESS_S_PER_PIXEL = 1e-7


class CostModel:
    """A line through (pixels, seconds) by least squares, older batches weighing less.

    Neither part is ever negative: where the line says so, that part is 0 and the other is
    fitted alone.
    """

    def __init__(self) -> None:
        self._weight = 0.0
        self._x = self._y = self._xx = self._xy = 0.0
        self._slope, self._base = _GUESS_S_PER_PIXEL, 0.0

    def seconds(self, pixels: int, num_batches: int = 1) -> float:
        """Return the expected time of so many batches with that many padded pixels together."""
        return self._slope * pixels + self._base * num_batches

    def expect(self, seconds_per_pixel: float) -> None:
        """Guess by what a warm-up took, if nothing better is known."""
        if self._weight == 0:
            self._slope = seconds_per_pixel

    def observe(self, pixels: int, seconds: float) -> None:
        """Learn from a batch that ran."""
        if pixels <= 0 or seconds < 0:
            return
        self._weight = _MEMORY * self._weight + 1
        self._x = _MEMORY * self._x + pixels
        self._y = _MEMORY * self._y + seconds
        self._xx = _MEMORY * self._xx + pixels * pixels
        self._xy = _MEMORY * self._xy + pixels * seconds
        self._fit()

    def _fit(self) -> None:
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        spread = self._xx / self._weight - mean_x**2
        if spread <= 1e-3 * mean_x**2:  # batches of one size tell nothing of a and b apart
            self._slope, self._base = mean_y / mean_x, 0.0
            return
        slope = (self._xy / self._weight - mean_x * mean_y) / spread
        base = mean_y - slope * mean_x
        if slope <= 0:
            slope, base = 0.0, mean_y
        elif base < 0:
            slope, base = self._xy / self._xx, 0.0
        self._slope, self._base = slope, base
