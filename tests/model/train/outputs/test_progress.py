from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from model.train.outputs.progress import METRICS_FILE, Progress, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def test_line_tells_losses_rate_speed_wait_and_time_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    progress = Progress(tmp_path, start=0, end=10, every=2, clock=clock)
    with caplog.at_level(logging.INFO):
        for iteration, loss in ((1, 1.0), (2, 3.0)):
            with progress.waiting_for_data():
                clock.now += 1
            clock.now += 3
            progress.step(iteration, {"loss_mask": loss}, 0.01, 4)
    assert caplog.messages == [
        "2/10  loss 2.0000 (mask 2.0000)  lr 0.01  1.0 images/s  data 25.0%  left 00:00:32"
    ]


def test_pauses_do_not_count_as_time(tmp_path: Path) -> None:
    clock = Clock()
    progress = Progress(tmp_path, start=0, end=10, every=1, clock=clock)
    with progress.paused():
        clock.now += 100
    clock.now += 2
    progress.step(1, {"loss_mask": 1.0}, 0.01, 4)
    assert _rows(tmp_path)[0]["images_per_s"] == 2.0


def test_steps_left_out_do_not_count_in_the_losses(tmp_path: Path) -> None:
    progress = Progress(tmp_path, start=0, end=10, every=2)
    progress.step(1, {}, 0.01, 4)
    progress.step(2, {"loss_mask": 3.0}, 0.01, 4)
    assert _rows(tmp_path)[0]["loss_mask"] == 3.0


def test_last_iteration_is_always_told(tmp_path: Path) -> None:
    progress = Progress(tmp_path, start=0, end=3, every=100)
    for iteration in (1, 2, 3):
        progress.step(iteration, {"loss_mask": 1.0}, 0.01, 4)
    assert [row["iteration"] for row in _rows(tmp_path)] == [3]


def test_resumed_run_drops_the_rows_that_come_again(tmp_path: Path) -> None:
    rows = [{"iteration": n, "loss": 1.0} for n in (1, 2, 3)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"iteration": 2, "lo'
    (tmp_path / METRICS_FILE).write_text(text)
    Progress(tmp_path, start=2, end=10, every=1)
    assert [row["iteration"] for row in _rows(tmp_path)] == [1, 2]


def test_boards_receive_the_curves(tmp_path: Path) -> None:
    seen = []

    class Board:
        def scalars(self, values: dict[str, float], iteration: int) -> None:
            seen.append((iteration, values["loss_mask"]))

        def close(self) -> None:
            seen.append("closed")

    progress = Progress(tmp_path, start=0, end=1, every=1, boards=(Board(),))  # type: ignore[arg-type]
    progress.step(1, {"loss_mask": 1.5}, 0.01, 4)
    progress.close()
    assert seen == [(1, 1.5), "closed"]


def test_other_processes_keep_silent(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(None, start=0, end=1, every=1)
    with caplog.at_level(logging.INFO):
        progress.step(1, {"loss_mask": 1.0}, 0.01, 4)
        progress.record({"mask_AP": 0.5}, 1)
    assert caplog.messages == []


def test_long_times_have_days() -> None:
    assert duration(2 * 86_400 + 3 * 3600 + 4 * 60 + 5) == "2 d 03:04:05"


def test_loss_out_of_all_bounds_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress(tmp_path, start=0, end=100, every=100)
    for iteration, loss in enumerate((5.0, 833_756.0, 900_000.0, 4.0, 101.0), start=1):
        progress.step(iteration, {"loss_box": loss / 2, "loss_mask": loss / 2}, 0.01, 4)
    assert [line.split(", where")[0] for line in caplog.messages] == [
        "the loss is 833,756 at iteration 2",
        "the loss is 101 at iteration 5",
    ]
