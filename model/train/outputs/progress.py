"""How a run is doing: losses, learning rate, speed, time left, and the wait for data.

A bar on a terminal, plain lines elsewhere; both also go to `metrics.jsonl`, to TensorBoard if
it is installed, and to Weights & Biases if asked.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from model.train.outputs.row_file import append_row, keep_rows_until

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
# A training begins at a loss of about 5; far beyond it is on its way to infinity.
_WORRYING_LOSS = 100.0


class Board(Protocol):
    """Something that draws curves."""

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Add one point to each curve."""

    def close(self) -> None:
        """Let go of it."""


@dataclass
class _Window:
    """What happened since the last line."""

    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: int = 0
    counted: int = 0  # those that have losses
    pictures: int = 0
    waited_s: float = 0.0


class Progress:
    """Gathers what the steps report and says it every `every` iterations; one per run, rank 0's.

    Args:
        folder: where `metrics.jsonl` goes; rows after `start` are dropped, they will come again.
            None keeps silent, in the processes that are not the main one.
        bar: shown and advanced, if there is one. clock: seconds, ever growing.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        start: int,
        end: int,
        every: int,
        bar: tqdm[Any] | None = None,
        boards: tuple[Board, ...] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._path = None if folder is None else folder / METRICS_FILE
        self._iteration, self._end, self._every = start, end, every
        self._bar, self._boards, self._clock = bar, boards, clock
        self._window = _Window()
        self._since = clock()
        self._seconds_per_step: float | None = None
        self._is_worrying = False
        if self._path is not None:
            keep_rows_until(self._path, start)

    @contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Count the time inside as waiting."""
        begun = self._clock()
        yield
        self._window.waited_s += self._clock() - begun

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside (evaluation, saving) out of the speed."""
        begun = self._clock()
        yield
        self._since += self._clock() - begun

    def step(
        self, iteration: int, losses: Mapping[str, float], learning_rate: float, num_pictures: int
    ) -> None:
        """Take note of one step; `iteration` counts those done, this one too.

        Args:
            losses: none if the step was left out.
            num_pictures: of all processes.
        """
        window = self._window
        for name, value in losses.items():
            window.sums[name] += value
        window.steps += 1
        window.counted += bool(losses)
        window.pictures += num_pictures
        self._iteration = iteration
        if losses:
            self._watch(sum(losses.values()))
        if self._bar is not None:
            self._bar.update()
        is_time = iteration % self._every == 0 or iteration == self._end
        if self._path is not None and is_time:
            self._report(learning_rate)

    def record(self, values: Mapping[str, float], iteration: int) -> None:
        """Add values that come now and then, such as an evaluation's, to the curves."""
        if self._path is not None:
            append_row(self._path, {"iteration": iteration, **values})
        for board in self._boards:
            board.scalars(values, iteration)

    def close(self) -> None:
        """Close the bar and the boards."""
        if self._bar is not None:
            self._bar.close()
        for board in self._boards:
            board.close()

    def _watch(self, loss: float) -> None:
        """Warn when the loss leaves all bounds, once until it is back."""
        was_worrying, self._is_worrying = self._is_worrying, loss > _WORRYING_LOSS
        if self._is_worrying and not was_worrying and self._path is not None:
            logger.warning(
                "the loss is %s at iteration %d, where below 10 is usual: "
                "a lower --lr, a longer --warmup or --clip-norm may help",
                *(f"{loss:,.0f}", self._iteration),
            )

    def _report(self, learning_rate: float) -> None:
        now = self._clock()
        window, elapsed = self._window, max(now - self._since, 1e-9)
        losses = {name: total / window.counted for name, total in window.sums.items()}
        seconds = elapsed / window.steps
        before = self._seconds_per_step
        self._seconds_per_step = seconds if before is None else 0.7 * before + 0.3 * seconds
        speed = {
            "learning_rate": learning_rate,
            "images_per_s": window.pictures / elapsed,
            "data_wait_share": window.waited_s / elapsed,
        }
        left = self._seconds_per_step * (self._end - self._iteration)
        self._show(losses, speed, left)
        self.record({"loss": sum(losses.values()), **losses, **speed}, self._iteration)
        self._window = _Window()
        self._since = now

    def _show(self, losses: Mapping[str, float], speed: Mapping[str, float], left: float) -> None:
        parts = " ".join(f"{name.removeprefix('loss_')} {v:.4f}" for name, v in losses.items())
        line = (
            f"loss {sum(losses.values()):.4f} ({parts})  lr {speed['learning_rate']:.3g}  "
            f"{speed['images_per_s']:.1f} images/s  data {speed['data_wait_share']:.1%}"
        )
        if self._bar is not None:
            self._bar.set_postfix_str(line)
        else:
            logger.info("%d/%d  %s  left %s", self._iteration, self._end, line, duration(left))


def duration(seconds: float) -> str:
    """Return "2 d 03:04:05", without the days if there are none."""
    days, rest = divmod(round(seconds), 86_400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
