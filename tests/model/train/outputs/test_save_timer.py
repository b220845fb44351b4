from __future__ import annotations

from model.train.outputs.save_timer import SaveTimer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_first_save_is_due_early_and_the_next_after_ten_minutes() -> None:
    clock = Clock()
    timer = SaveTimer(clock)
    assert not timer.is_due()
    clock.now += 10
    assert timer.is_due()
    timer.restart()
    clock.now += 599
    assert not timer.is_due()
    clock.now += 1
    assert timer.is_due()
