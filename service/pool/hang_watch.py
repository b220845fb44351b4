"""When a worker hangs: by its silence, by what it is at, by how long it loads or stops."""

from __future__ import annotations

import time
from dataclasses import dataclass

from service.pool.child import EXIT_S
from service.pool.sent_batches import SentBatches

# Long enough to start Python and to import the libraries on a busy machine; after that, silence
# means that it hangs.
_FIRST_SIGN_S = 60.0

# Why a worker is killed whose process says nothing any more; "hung" where a batch has no end.
SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class LinkTimes:
    """Seconds.

    load: from the start to ready. heartbeat: of silence, after its first sign of life.
    """

    load: float
    heartbeat: float


@dataclass(frozen=True, kw_only=True)
class Hang:
    """reason: as `LinkOwner.on_gone` hears it. why: for the log."""

    reason: str
    why: str


class HangWatch:
    """What one worker is held to, from its start on.

    Args:
        sent: what it has.
    """

    def __init__(self, times: LinkTimes, sent: SentBatches) -> None:
        self._times = times
        self._sent = sent
        self._started = self._last_sign = time.monotonic()
        self._stop_asked: float | None = None

    @property
    def pause_s(self) -> float:
        """How long to wait between two looks."""
        return min(0.5, self._times.heartbeat / 4)

    @property
    def is_stop_asked(self) -> bool:
        """Whether the worker was asked to end."""
        return self._stop_asked is not None

    def start(self) -> None:
        """Note that the process runs from now on."""
        self._started = self._last_sign = time.monotonic()

    def hear(self) -> None:
        """Note a sign of life."""
        self._last_sign = time.monotonic()

    def ask_stop(self) -> None:
        """Note that the worker is asked to end."""
        self._stop_asked = time.monotonic()

    def look(self, *, is_silent_yet: bool, is_loading: bool) -> Hang | None:
        """Return how the worker hangs; None if it does not.

        Args:
            is_silent_yet: it has loaded nothing yet: importing a large library may keep
                everything else of a process waiting.
            is_loading: it is not ready yet.
        """
        now = time.monotonic()
        heartbeat_s = self._times.heartbeat
        silence = now - self._last_sign
        if silence > (max(_FIRST_SIGN_S, heartbeat_s) if is_silent_yet else heartbeat_s):
            return Hang(reason=SILENT, why=f"no sign of life for {silence:.1f} s")
        if is_loading and now - self._started > self._times.load:
            return Hang(reason="hung", why=f"not ready after {now - self._started:.0f} s")
        complaint = self._sent.complaint(now)
        if complaint is not None:
            return Hang(reason="hung", why=complaint)
        if self._stop_asked is not None and not self._sent:
            idle_s = now - max(self._stop_asked, self._sent.last_change)
            if idle_s > EXIT_S:
                return Hang(reason="stopped", why=f"asked to stop {idle_s:.1f} s ago")
        return None

    def forgive(self, stall_s: float) -> None:
        """Leave out of all watches the time in which this process itself stood still.

        What the worker said is not read yet, and it may have stood still too.
        """
        self._last_sign = time.monotonic()
        self._started += stall_s
        self._sent.forgive(stall_s)
