"""The process that decodes costly pictures, and that the kernel ends when one takes too long.

    python -m model.pictures.decoding_child SOCKET MEMORY CPU_SECONDS

What it is asked and answers is in `decoding_process.py`.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from model.pictures.decode import decode_image
from model.pictures.decoding_wire import (
    ANSWER,
    ASKED_BACKGROUNDS,
    ERRORS,
    MEMORY,
    QUESTION,
    receive,
)
from model.pictures.errors import ImageError

_NICER = 5  # what serves everyone else goes before


def main() -> None:
    """Answer until the other end is closed."""
    link = socket.socket(fileno=int(sys.argv[1]))
    memory, cpu_seconds = int(sys.argv[2]), float(sys.argv[3])
    os.nice(_NICER)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # if memory runs out, it is this process that goes
        Path("/proc/self/oom_score_adj").write_text("1000")
    while (question := receive(link, QUESTION.size)) is not None:
        num_bytes, max_pixels, max_side, place = QUESTION.unpack(question)
        data = receive(link, num_bytes)
        if data is None:
            return
        _allow(cpu_seconds)
        height, width, kind, text = 0, 0, 0, b""
        try:
            pixels = decode_image(
                data,
                max_pixels=max_pixels,
                max_side=max_side,
                background=ASKED_BACKGROUNDS[place],
            )
            height, width = pixels.shape[:2]
            _put(pixels, memory)
        except ImageError as error:
            kind, text = 1 + ERRORS.index(type(error)), str(error).encode()
        except MemoryError:
            kind = MEMORY
        link.sendall(ANSWER.pack(kind, height, width, len(text)) + text)


def _allow(cpu_seconds: float) -> None:
    """Have the kernel end this process once it has worked for so long from now on."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = math.ceil(time.process_time() + cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def _put(pixels: np.ndarray, memory: int) -> None:
    os.ftruncate(memory, pixels.nbytes)
    place = np.memmap(os.fdopen(os.dup(memory), "r+b"), np.uint8, "r+", shape=pixels.shape)
    place[:] = pixels


if __name__ == "__main__":
    main()
