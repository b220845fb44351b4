"""A process of its own for costly pictures: what it takes too long for is cut off, and it alone."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from model.pictures.background import Background
from model.pictures.decoding_wire import (
    ANSWER,
    ASKED_BACKGROUNDS,
    ERRORS,
    MEMORY,
    QUESTION,
    receive,
)
from model.pictures.errors import DecoderCrashError, ImageTooCostlyError

_PROGRAM = "model.pictures.decoding_child"
_GLANCE_S = 0.25


class StoppedError(Exception):
    """Nobody wanted the picture any more before it was decoded."""


def _always() -> bool:
    return True


class DecodingProcess:
    """Decodes one picture at a time as `decode_image` does. The process starts when it is needed.

    Args:
        cpu_seconds: of a core that a picture may take.
        wall_seconds: until it is cut off whatever it has used, on a machine with other work.
    """

    def __init__(self, *, cpu_seconds: float, wall_seconds: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._memory = -1

    def decode(
        self,
        data: bytes,
        *,
        max_pixels: int,
        max_side: int,
        background: Background | None = None,
        is_wanted: Callable[[], bool] = _always,
    ) -> np.ndarray:
        """Return the upright picture: RGB uint8 (H, W, 3).

        Args:
            is_wanted: is asked now and then; once it is not, its decoding ends.

        Raises:
            ImageTooCostlyError: it took too long.
            DecoderCrashError: the decoder crashed.
            ImageError: as of `decode_image`.
            StoppedError: it was not wanted any more.
            MemoryError: there is none for it.
            RuntimeError: a defect of ours.
        """
        link = self._link or self._start()
        try:
            place = ASKED_BACKGROUNDS.index(background)
            link.sendall(QUESTION.pack(len(data), max_pixels, max_side, place) + data)
            self._wait(link, is_wanted)
            answer = receive(link, ANSWER.size)
            if answer is None:
                raise ConnectionError
            kind, height, width, num_bytes = ANSWER.unpack(answer)
            text = receive(link, num_bytes)
        except (OSError, ConnectionError) as error:
            raise self._judged(error) from None
        if kind == MEMORY:
            raise MemoryError
        if kind:
            raise ERRORS[kind - 1]((text or b"").decode())
        return self._take((height, width, 3))

    def _wait(self, link: socket.socket, is_wanted: Callable[[], bool]) -> None:
        """Return once there is an answer, or there will be none."""
        until = time.monotonic() + self._wall_seconds
        poll = select.poll()
        poll.register(link, select.POLLIN)
        while not poll.poll(1e3 * min(_GLANCE_S, self._wall_seconds)):
            if not is_wanted():
                self.close()
                raise StoppedError
            if time.monotonic() >= until:
                raise TimeoutError

    def close(self) -> None:
        """End the process; the next picture starts another."""
        if self._process is not None and self._link is not None:
            self._link.close()
            self._process.kill()
            self._process.wait()
            os.close(self._memory)
        self._process, self._link = None, None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._memory = os.memfd_create("pixels")
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", _PROGRAM, str(theirs.fileno())),
                    *(str(self._memory), str(self._cpu_seconds)),
                ],
                pass_fds=(theirs.fileno(), self._memory),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libtiff speaks of every fault
            )
        ours.settimeout(self._wall_seconds)
        self._link = ours
        return ours

    def _judged(self, error: Exception) -> Exception:
        """Return what to raise of a picture under which the process ended, or is ended now."""
        code = None
        if not isinstance(error, TimeoutError) and self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(1)
        self.close()
        if code is None or code == -signal.SIGXCPU:
            return ImageTooCostlyError(
                "decoding the picture took longer than any picture needs and was cut off; "
                "save it anew"
            )
        if code == -signal.SIGKILL:  # nobody else does that but the kernel, for want of memory
            return MemoryError()
        if code < 0:  # a decoder crashed
            return DecoderCrashError("the picture is damaged: its pixels cannot be read")
        return RuntimeError(f"the decoding process ended with code {code}")

    def _take(self, shape: tuple[int, int, int]) -> np.ndarray:
        with os.fdopen(os.dup(self._memory), "r+b") as file:
            pixels = np.array(np.memmap(file, np.uint8, "r", shape=shape))
        os.ftruncate(self._memory, 0)
        return pixels
