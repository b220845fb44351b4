"""How large a canvas each model has memory for, as its batches showed."""

from __future__ import annotations

_TOO_BIG_FOR_S = 600.0


class CanvasLimits:
    """By model: canvas pixels that found no memory, for a while; and the most that did."""

    def __init__(self) -> None:
        self._too_big: dict[str, tuple[int, float]] = {}  # pixels, and until when that counts
        self._proven: dict[str, int] = {}

    def is_too_big(self, model: str, pixels: int, now: float) -> bool:
        """Whether a canvas of that size found no memory just now."""
        limit, until = self._too_big.get(model, (0, 0.0))
        return now < until and pixels >= limit

    def refuse(self, model: str, pixels: int, now: float) -> None:
        """Refuse canvases of that size or more for a while: they found no memory even alone.

        Not where as large a canvas has been computed before: then memory was short for a moment,
        and a common size must not be shut out.
        """
        if pixels > self._proven.get(model, 0):
            before, _ = self._too_big.get(model, (pixels, 0.0))
            self._too_big[model] = min(pixels, before), now + _TOO_BIG_FOR_S

    def prove(self, model: str, pixels: int) -> None:
        """Note that a canvas of that size was computed."""
        self._proven[model] = max(pixels, self._proven.get(model, 0))

    def forget(self) -> None:
        """Let every size try again."""
        self._too_big.clear()
        self._proven.clear()
