"""The sign of life of a worker process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.pool.messages import Heartbeat
from service.pool.wire import FrameSocket

_BEAT_S = 0.5


class Heart:
    """Tells the server, from a thread of its own, that the process lives.

    device_bytes: says how much memory of the device the process holds.
    """

    def __init__(self, link: FrameSocket) -> None:
        self._link = link
        self.device_bytes: Callable[[], int] = int
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat, at once."""
        self._thread.start()

    def _beat(self) -> None:
        with suppress(ConnectionError):  # the server is gone; the reader sees it too
            while True:
                self._link.send(
                    Heartbeat(device_bytes=self.device_bytes(), rss_bytes=resident_bytes())
                )
                time.sleep(_BEAT_S)


def resident_bytes() -> int:
    """Return the bytes of memory that this process takes; 0 where the system does not tell."""
    try:
        num_pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return num_pages * os.sysconf("SC_PAGE_SIZE")
