"""A real worker process on the other end of a socket, with a model of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tiny
from service_fakes import task_of

from model.checkpoints.checkpoint import Checkpoint, save
from service.pool.arena import Arena
from service.pool.messages import (
    Batch,
    BatchItem,
    Done,
    Heartbeat,
    Load,
    Message,
    ModelToLoad,
    OfPicture,
    Ran,
)
from service.pool.wire import Frame, FrameSocket

TIMEOUT_S = 120

AnyMessage = TypeVar("AnyMessage")


def write_tiny_weights(path: Path) -> Path:
    """Write the weights of the tiny network, with its semantic head, in our own format."""
    predictor = tiny.tiny_predictor(semantic=True)
    save(
        path,
        Checkpoint(
            config=predictor.config,
            categories=predictor.categories,
            tensors=predictor.model.state_dict(),
            sha256="",
            provenance={},
        ),
    )
    return path


class Child:
    """A started worker process."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, arena: Arena) -> None:
        self.process = process
        self.socket = sock
        self._link = FrameSocket(sock)
        self._arena = arena
        self._numbers = iter(range(1, 1000))
        self.heartbeats: list[Heartbeat] = []

    def send(self, message: Message) -> None:
        self._link.send(message)

    def receive(self) -> Frame | None:
        """The next frame but for heartbeats, which are collected; None when it is gone."""
        while (frame := self._link.receive()) is not None and isinstance(frame.message, Heartbeat):
            self.heartbeats.append(frame.message)
        return frame

    def receive_anything(self) -> Frame | None:
        """The next frame, heartbeats too."""
        return self._link.receive()

    def expect(self, kind: type[AnyMessage]) -> AnyMessage:
        """The next message, which must be of that kind."""
        frame = self.receive()
        assert frame is not None, f"the worker is gone: {self.process.poll()}"
        assert isinstance(frame.message, kind), frame.message
        return frame.message

    def load(self, *weights: Path) -> None:
        models = [
            ModelToLoad(
                name=path.stem, weights=str(path), config=None, overrides=[], categories=None
            )
            for path in weights
        ]
        self.send(
            Load(
                device="cpu",
                models=models,
                max_pixels=100_000,
                max_side=1000,
                decode_threads=2,
                warmup_sizes=[(48, 64)],
                max_batch_images=2,
                max_batch_pixels=12_000_000,
                arena_bytes=self._arena.num_bytes,
                log_level="info",
                log_format="text",
            )
        )

    def send_batch(self, number: int, model: str, pictures: Sequence[bytes], **asked: Any) -> None:
        """Ask for pictures; the first one's item is 10 times the batch's number."""
        items = []
        for index, data in enumerate(pictures):
            offset = self._arena.put(data)
            assert offset is not None
            items.append(
                BatchItem(
                    number=10 * number + index,
                    offset=offset,
                    length=len(data),
                    asked=task_of(**{"score_threshold": 0.0, **asked}),
                    id=f"picture {index}",
                    request_id=f"request {index}",
                )
            )
        self.send(Batch(batch=number, model=model, items=items))

    def receive_batch(self) -> tuple[dict[int, Frame], Done]:
        """A batch's frames by item, and the message that closes it."""
        items: dict[int, Frame] = {}
        while (frame := self.receive()) is not None:
            match frame.message:
                case Done() as done:
                    return items, done
                case Ran():  # what remains is drawing
                    continue
                case OfPicture(item=item):
                    assert items.setdefault(item, frame) is frame
                case other:
                    raise AssertionError(other)
        raise AssertionError(f"the worker is gone: {self.process.poll()}")

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(TIMEOUT_S)


@contextmanager
def worker_child(command: Sequence[str] = ("-m", "service.worker.process")) -> Iterator[Child]:
    """Start a worker process, and kill it at the end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    arena = Arena(2**20)
    try:
        with ours:
            with theirs:
                fds = (theirs.fileno(), arena.fd)
                process = subprocess.Popen(
                    [sys.executable, *command, "--socket", str(fds[0]), "--arena", str(fds[1])],
                    pass_fds=fds,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
            try:
                yield Child(process, ours, arena)
            finally:
                process.kill()
                process.wait()
    finally:
        arena.close()
