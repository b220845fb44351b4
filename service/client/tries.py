"""When a request is sent again, and for how long. Nothing here waits or sends."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from service.client.errors import ClientError, RefusedError, UnansweredError

# The server is full, not ready, or too slow. 502 is a proxy's, whose server has just gone.
_TRIED_AGAIN = (429, 502, 503, 504)
# No answer, or not a whole one: pictures are only looked at, so they may be sent anew.
BROKEN = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
# Without a word of the server: doubled each time.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# Longer by up to this share, so that clients who are told the same do not come back together.
_SPREAD = 0.25
# One address of several may be dead; there has to be time for another try.
_CONNECT_S = 5.0


class Tries:
    """The tries of one request, all of which end by one deadline.

    Args:
        deadline_s: from now on.
    """

    def __init__(
        self,
        deadline_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._deadline_s = deadline_s
        self._now = now
        self._chance = chance
        self._end = now() + deadline_s
        self._num = 0
        self.request_id = uuid.uuid4().hex  # the same for all: the server's logs tell them so

    @property
    def num(self) -> int:
        """How many there were."""
        return self._num

    @property
    def left_s(self) -> float:
        """The seconds until the deadline; 0 when it has passed."""
        return max(0.0, self._end - self._now())

    def begin(self) -> httpx.Timeout:
        """Count a try, and return how long its steps may take."""
        self._num += 1
        left_s = max(self.left_s, 0.001)
        return httpx.Timeout(left_s, connect=min(left_s, _CONNECT_S))

    def check(self) -> None:
        """Raise httpx.ReadTimeout if the deadline has passed."""
        if self.left_s == 0:
            raise httpx.ReadTimeout("the answer did not come in whole")

    def pause_after_answer(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> float | None:
        """Return the seconds until the next try; None if this one has its answer.

        Raises:
            RefusedError: it is an error that no further try would mend, or none in time.
        """
        if 200 <= status < 300:
            return None
        error = RefusedError.of(status, body, num_tries=self._num)
        if status not in _TRIED_AGAIN:
            raise error
        return self._pause(retry_after_s(headers.get("retry-after")), error)

    def pause_after_break(self, error: Exception) -> float:
        """Return the seconds until the next try, after one that brought no whole answer.

        Raises:
            UnansweredError: there is no time for one.
        """
        return self._pause(None, self.unanswered(error))

    def unanswered(self, error: Exception) -> UnansweredError:
        """Return what is raised at the deadline, after a try that met this."""
        met = str(error) or type(error).__name__
        tries = "1 try" if self._num == 1 else f"{self._num} tries"
        unanswered = UnansweredError(
            f"no answer within {self._deadline_s:g} s, in {tries}; the last one met: {met}",
            num_tries=self._num,
            request_id=self.request_id,
        )
        unanswered.__cause__ = error
        return unanswered

    def _pause(self, asked_s: float | None, if_too_late: ClientError) -> float:
        if asked_s is None:
            longest_s = min(_FIRST_PAUSE_S * 2.0 ** min(self._num - 1, 16), _LONGEST_PAUSE_S)
            pause_s = longest_s * (1 - 0.5 * self._chance())
        else:
            pause_s = asked_s * (1 + _SPREAD * self._chance())
            # Where only the spread would miss the deadline, rather come in time.
            if asked_s < self.left_s <= pause_s:
                pause_s = asked_s
        if pause_s >= self.left_s:
            raise if_too_late
        return pause_s


def retry_after_s(field: str | None) -> float | None:
    """Return the seconds that `Retry-After` asks for, written as a number or as a date."""
    if field is None:
        return None
    if field.strip().isdecimal():
        return float(field)
    try:
        moment: datetime = parsedate_to_datetime(field)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, float((moment - datetime.now(UTC)).total_seconds()))
