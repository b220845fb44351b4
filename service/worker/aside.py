"""Costly pictures, decoded away from the others: by processes that are cut off if need be."""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from model.pictures.background import Background
from model.pictures.cost import decoding_seconds
from model.pictures.decoding_process import DecodingProcess
from model.pictures.errors import ImageError
from model.pictures.header import read_header
from service.errors import TooLargeError
from service.image_refusals import image_refusals

# What decoding may cost at the most before it is done aside: it would keep the others waiting.
_BRIEF_S = 0.5
# Several times what the largest picture of any format takes.
CPU_S = 8.0
# On a machine with so much else to do that it gets nowhere; requests have 30 s.
WALL_S = 25.0
# Of decoding that one process may have before it. Requests have 30 s: who would wait for longer
# is refused at once.
_MOST_AHEAD_S = 30.0


def is_costly(data: bytes) -> bool:
    """Say whether decoding a picture may take long; not where it will be refused at once."""
    return _expected_s(data) > _BRIEF_S


def _expected_s(data: bytes) -> float:
    try:
        return min(CPU_S, decoding_seconds(data, read_header(data)))
    except (ImageError, struct.error, IndexError):
        return 0.0


class Aside:
    """Threads that wait for costly pictures, and the processes that decode them.

    Args:
        num_pictures: at a time.
    """

    def __init__(self, num_pictures: int) -> None:
        self._threads = ThreadPoolExecutor(num_pictures, thread_name_prefix="aside")
        self._most_ahead_s = _MOST_AHEAD_S * num_pictures
        self._lock = threading.Lock()  # guards the following
        self._ahead_s = 0.0  # of decoding, of all that is here
        # The one that was used last comes first: the others are not started without need.
        self._idle: queue.LifoQueue[DecodingProcess] = queue.LifoQueue()
        for _ in range(num_pictures):
            self._idle.put(DecodingProcess(cpu_seconds=CPU_S, wall_seconds=WALL_S))

    def let_in(self, data: bytes) -> bool:
        """Say whether a picture may come; one that may is to be begun with `start`."""
        expected_s = _expected_s(data)
        with self._lock:
            if self._ahead_s + expected_s > self._most_ahead_s:
                return False
            self._ahead_s += expected_s
        return True

    def start(self, data: bytes, work: Callable[[], None]) -> None:
        """Have that done about a picture which was let in, when its turn comes."""

        def work_and_leave() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._ahead_s -= _expected_s(data)

        self._threads.submit(work_and_leave)

    def decode(
        self,
        data: bytes,
        *,
        max_pixels: int,
        max_side: int,
        background: Background | None = None,
        is_wanted: Callable[[], bool],
    ) -> np.ndarray:
        """Return the upright picture: RGB uint8 (H, W, 3).

        Raises:
            StoppedError: `is_wanted` said that it was not any more.
            ServiceError: it cannot be decoded, or not in time; the text is for the client.
        """
        process = self._idle.get()
        try:
            with image_refusals():
                return process.decode(
                    data,
                    max_pixels=max_pixels,
                    max_side=max_side,
                    background=background,
                    is_wanted=is_wanted,
                )
        except MemoryError:
            raise TooLargeError("the server has no memory to decode it; send it smaller") from None
        finally:
            self._idle.put(process)

    def finish(self) -> None:
        """Return once nothing is being decoded, and end the processes."""
        self._threads.shutdown()
        while not self._idle.empty():
            self._idle.get().close()
