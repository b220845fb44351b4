"""How a worker process lives and ends: with the server, and at once."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

log = logging.getLogger("service.worker.process")  # whose threads they are

# Exit codes.
STOPPED, LOST, FAILED, FATAL = 0, 1, 3, 4
_PR_SET_PDEATHSIG = 1


def start_thread(name: str, work: Callable[[], None]) -> None:
    """Start a thread without which the process is worth nothing: its failure ends it."""

    def guarded() -> None:
        try:
            work()
        except BaseException:
            log.exception("a thread of the worker failed", extra={"thread_name": name})
            leave(LOST)

    threading.Thread(target=guarded, name=name, daemon=True).start()


def live_and_die_with_the_server() -> None:
    """Leave signals to the server, and be killed by the kernel when it dies."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave(code: int) -> NoReturn:
    """Exit at once: other threads may be inside the network, which nothing can interrupt."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
