from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from service.client.errors import RefusedError, UnansweredError
from service.client.tries import Tries, retry_after_s


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def tries_of(deadline_s: float = 60, *, chance: float = 0) -> tuple[Tries, Clock]:
    clock = Clock()
    tries = Tries(deadline_s, now=clock, chance=lambda: chance)
    tries.begin()
    return tries, clock


def test_answer_needs_no_further_try() -> None:
    tries, _ = tries_of()
    assert tries.pause_after_answer(200, {}, b"") is None


@pytest.mark.parametrize("status", [429, 503, 504])
def test_server_that_cannot_now_is_asked_again_when_it_says(status: int) -> None:
    tries, _ = tries_of()
    assert tries.pause_after_answer(status, {"retry-after": "7"}, b"") == 7


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 422, 500])
def test_refusal_that_would_be_repeated_is_raised(status: int) -> None:
    tries, _ = tries_of()
    with pytest.raises(RefusedError) as caught:
        tries.pause_after_answer(status, {"retry-after": "1"}, b'{"title": "T", "detail": "d."}')
    assert (caught.value.status, caught.value.detail) == (status, "d.")
    assert str(caught.value) == f"{status} T: d."


def test_clients_that_are_told_the_same_come_back_apart() -> None:
    pauses = {
        tries_of(chance=chance)[0].pause_after_answer(429, {"retry-after": "8"}, b"")
        for chance in (0.0, 0.5, 1.0)
    }
    assert pauses == {8, 9, 10}


def test_pauses_double_without_a_word_of_the_server() -> None:
    tries, _ = tries_of()
    pauses = []
    for _ in range(8):
        pauses.append(tries.pause_after_break(httpx.ReadError("gone")))
        tries.begin()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_pause_past_the_deadline_is_not_begun() -> None:
    tries, clock = tries_of(10)
    clock.now_s += 4
    with pytest.raises(RefusedError) as caught:
        tries.pause_after_answer(429, {"retry-after": "6"}, b"")
    assert (caught.value.status, caught.value.num_tries) == (429, 1)


def test_pause_is_not_spread_past_the_deadline() -> None:
    tries, _ = tries_of(10, chance=1)
    assert tries.pause_after_answer(429, {"retry-after": "9"}, b"") == 9


def test_broken_connections_are_told_at_the_deadline() -> None:
    tries, clock = tries_of(10)
    clock.now_s += 10
    with pytest.raises(UnansweredError, match=r"no answer within 10 s, in 1 try; .*: gone") as told:
        tries.pause_after_break(httpx.ReadError("gone"))
    assert isinstance(told.value.__cause__, httpx.ReadError)
    assert told.value.request_id == tries.request_id


def test_try_has_the_time_that_is_left_and_less_to_connect() -> None:
    tries, clock = tries_of(60)
    clock.now_s += 20
    timeout = tries.begin()
    assert (timeout.read, timeout.connect) == (40, 5)


def test_answer_that_trickles_in_is_cut_off_at_the_deadline() -> None:
    tries, clock = tries_of(60)
    tries.check()
    clock.now_s += 60
    with pytest.raises(httpx.ReadTimeout):
        tries.check()


@pytest.mark.parametrize(
    ("body", "detail"),
    [(b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"), (b"", ""), (b"[1]", "[1]")],
)
def test_proxys_words_are_told_as_they_are(body: bytes, detail: str) -> None:
    assert RefusedError.of(500, body, num_tries=1).detail == detail


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after_s("12") == 12
    from_date = retry_after_s(format_datetime(soon, usegmt=True))
    assert from_date is not None
    assert 0 < from_date <= 30
    assert retry_after_s("Mon, 01 Jan 2001 00:00:00 GMT") == 0
    assert retry_after_s("soon") is None
    assert retry_after_s(None) is None
