from __future__ import annotations

import pytest

from service.errors import QueueFullError
from service.pool.admission import Load, Wait, admit, refusal

_LIMITS = Load(images=10, bytes=1000, pixels=10_000)
_QUICK = Wait(waiting=1.0, own=0.1, allowed=30.0)


def _load(images: int = 1, num_bytes: int = 10, pixels: int = 100) -> Load:
    return Load(images=images, bytes=num_bytes, pixels=pixels)


def test_what_fits_is_let_in() -> None:
    admit(_load(), _load(9, 990, 9900), _LIMITS, _QUICK)


@pytest.mark.parametrize("waiting", [_load(10, 10, 100), _load(1, 995, 100), _load(1, 10, 9950)])
def test_what_exceeds_any_limit_is_refused(waiting: Load) -> None:
    with pytest.raises(QueueFullError):
        admit(_load(), waiting, _LIMITS, _QUICK)


def test_whoever_finds_an_empty_queue_is_let_in() -> None:
    admit(_load(11, 2000, 20_000), _load(0, 0, 0), _LIMITS, Wait(waiting=0, own=99, allowed=1))


def test_retry_after_is_the_time_until_there_is_room() -> None:
    slow = Wait(waiting=20.0, own=1.0, allowed=100.0)
    with pytest.raises(QueueFullError) as refused:
        admit(_load(5), _load(10), _LIMITS, slow)  # half of what waits has to go
    assert refused.value.retry_after_s == 10


def test_a_wait_in_vain_is_refused_at_once() -> None:
    with pytest.raises(QueueFullError) as refused:
        admit(_load(), _load(5), _LIMITS, Wait(waiting=32.0, own=1.0, allowed=30.0))
    assert refused.value.retry_after_s == 3


def test_retry_after_is_a_second_at_least() -> None:
    with pytest.raises(QueueFullError) as refused:
        admit(_load(), _load(10), _LIMITS, Wait(waiting=0.01, own=0.0, allowed=30.0))
    assert refused.value.retry_after_s == 1


@pytest.mark.parametrize(
    ("num_waiting", "start"),
    [(0, "the server is busy;"), (1, "1 image is waiting"), (2, "2 images are waiting")],
)
def test_refusal_says_how_many_wait(num_waiting: int, start: str) -> None:
    assert refusal(num_waiting, 1.0).detail.startswith(start)
