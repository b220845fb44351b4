"""`python -m service.worker.process`: owns one device, and runs what the server sends it.

The server starts it with a socket and the arena inherited; `wire.py` says how frames look. It
ends when told to, when the server is gone, or when its device does not work any more.

    reader ─▶ preparer (and decoders) ─▶ main thread: the network ─▶ encoders ─▶ socket

A batch that finds nothing else here goes from the reader to the main thread at once, which
prepares and encodes a lone picture itself: each change of thread would make its sender wait.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from service.pool.arena import ArenaView
from service.pool.messages import (
    Batch,
    Canary,
    CanaryRan,
    Drop,
    Failed,
    Fatal,
    Load,
    Loaded,
    Message,
    Ready,
    Stop,
)
from service.pool.wire import FrameSocket
from service.watch.logs import configure_logging
from service.worker.failures import Failure, failure_of, one_line
from service.worker.heart import Heart
from service.worker.lifetime import (
    FAILED,
    FATAL,
    LOST,
    STOPPED,
    leave,
    live_and_die_with_the_server,
    start_thread,
)
from service.worker.wanted import Wanted

if TYPE_CHECKING:
    from service.worker.batches import BatchRunner
    from service.worker.groups import PreparedBatch
    from service.worker.models import LoadedModel

log = logging.getLogger("service.worker.process")  # not __main__, as which it runs

# What the main thread comes to in its turn.
Work = Batch | Canary | Stop


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve until told to stop, and exit."""
    faulthandler.enable()
    # Read when PyTorch is loaded. Its threads would spin while they wait for each other, and on
    # a machine with other work, decoders for a start, that makes a forward pass many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    live_and_die_with_the_server()
    parser = argparse.ArgumentParser(prog="python -m service.worker.process")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of a stream socket")
    parser.add_argument("--arena", type=int, required=True, help="descriptor of shared memory")
    flags = parser.parse_args(arguments)
    link = FrameSocket(socket.socket(fileno=flags.socket))
    heart = Heart(link)
    heart.start()
    first = link.receive()
    if first is None:
        leave(STOPPED)
    load = first.message
    if not isinstance(load, Load):
        raise ValueError(f"the first frame says {load}; it must say what to load")
    configure_logging(load.log_level, load.log_format, worker=load.device)
    try:
        code = WorkerProcess(link, heart, flags.arena, load).serve()
    except BaseException:
        log.exception("the worker failed")
        code = LOST
    leave(code)


class WorkerProcess:
    """The process once it knows what to load."""

    def __init__(self, link: FrameSocket, heart: Heart, arena_fd: int, load: Load) -> None:
        self._link = link
        self._heart = heart
        self._arena_fd = arena_fd
        self._load = load
        self._coming: queue.SimpleQueue[Work] = queue.SimpleQueue()  # for the preparer
        self._work: queue.SimpleQueue[PreparedBatch | Work] = queue.SimpleQueue()
        self._wanted = Wanted()
        self._lock = threading.Lock()
        self._num_open = 0  # messages that are read and not done with; guarded by the lock

    def serve(self) -> int:
        """Load, warm up, and run batches until told to stop; return the exit code."""
        start_thread("reader", self._read)
        try:
            from service.worker import canary  # slow; the heart beats
            from service.worker import models as worker_models

            gc.freeze()  # else now and then a collection goes through all of it, for 0.2 s
            device = self._load.device
            models = worker_models.open_device(device, self._load.models)
            self._heart.device_bytes = partial(worker_models.device_bytes, device)
            self._send(Loaded(models=[model.info.to_json() for model in models.values()]))
            runner = self._open_runner(models)
            warmed = worker_models.warm_up_all(models, self._load)
        except Exception as error:
            return self._fail(error)
        run_canaries = canary.open_canaries(models, self._die)
        complaint = run_canaries()
        if complaint is not None:
            self._send(CanaryRan(ok=False, text=complaint))
            return LOST
        self._send(Ready(warmed=warmed))
        return self._run(runner, run_canaries)

    def _run(self, runner: BatchRunner, run_canaries: Callable[[], str | None]) -> int:
        start_thread("preparer", lambda: self._prepare(runner))
        while True:
            work = self._work.get()
            match work:
                case Batch():
                    runner.run(runner.prepare(work))
                case Canary():
                    complaint = run_canaries()
                    self._send(CanaryRan(ok=complaint is None, text=complaint or "as before"))
                case Stop():
                    self._finish(runner)
                    return STOPPED
                case prepared:
                    runner.run(prepared)
            with self._lock:
                self._num_open -= 1

    def _finish(self, runner: BatchRunner) -> None:
        """Run what was put aside, and return once everything is answered."""
        runner.finish_preparing()
        while not self._work.empty():
            late = self._work.get()
            if not isinstance(late, Work):  # no message comes behind Stop
                runner.run(late)
        runner.finish()

    def _put_late(self, prepared: PreparedBatch) -> None:
        with self._lock:
            self._num_open += 1
        self._work.put(prepared)

    def _read(self) -> None:
        """Take in messages until there are no more: then the server is gone, and so is this."""
        while (frame := self._link.receive()) is not None:
            match frame.message:
                case Drop(item=item):
                    self._wanted.drop(item)
                case (Batch() | Canary() | Stop()) as work:
                    if isinstance(work, Batch):
                        self._wanted.enter(item.number for item in work.items)
                    self._take(work)
                case other:
                    raise ValueError(f"the server says what is a worker's to say: {other}")
        leave(STOPPED)

    def _take(self, work: Work) -> None:
        with self._lock:
            is_alone = self._num_open == 0
            self._num_open += 1
        (self._work if is_alone else self._coming).put(work)

    def _prepare(self, runner: BatchRunner) -> None:
        """Prepare what comes while the main thread is busy; the order stays."""
        while True:
            work = self._coming.get()
            self._work.put(runner.prepare(work) if isinstance(work, Batch) else work)
            if isinstance(work, Stop):
                return

    def _has_next(self) -> bool:
        """Say whether more waits behind what the main thread is at."""
        with self._lock:
            return self._num_open > 1

    def _open_runner(self, models: Mapping[str, LoadedModel]) -> BatchRunner:
        from service.worker.batches import BatchRunner

        return BatchRunner(
            models,
            ArenaView(self._arena_fd, self._load.arena_bytes),
            max_pixels=self._load.max_pixels,
            max_side=self._load.max_side,
            num_threads=self._load.decode_threads,
            wanted=self._wanted,
            send=self._send,
            has_next=self._has_next,
            put_late=self._put_late,
            on_fatal=self._die,
        )

    def _fail(self, error: Exception) -> int:
        """Tell why nothing can be served; return the exit code."""
        if failure_of(error) is Failure.DEVICE:
            self._die(one_line(error))
        is_operators = isinstance(error, ValueError | OSError)
        text = " ".join(str(error).split()) if is_operators else one_line(error)
        if not is_operators:
            log.error("loading failed", exc_info=error)
        self._send(Failed(text=text, is_operators=is_operators))
        return FAILED

    def _die(self, text: str) -> NoReturn:
        self._send(Fatal(text=text))
        leave(FATAL)

    def _send(self, message: Message, body: bytes = b"") -> None:
        with suppress(ConnectionError):  # the server is gone; the reader sees it too
            self._link.send(message, body)


if __name__ == "__main__":
    main()
