"""What the server is told of one batch: a frame for each picture, then one for the whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from service.errors import ServiceError
from service.worker.pictures import PictureTask
from service.worker.wanted import Wanted

STAGES = ("decode", "preprocess", "forward", "postprocess", "encode")

# Sends a frame: its header, and a body where there is one.
Send = Callable[..., None]


class BatchReport:
    """Closes every picture of a batch exactly once, and then the batch. Any thread may call it.

    Args:
        number: the server's for the batch.
        tasks: its pictures, all open at first.
        wanted: is told of each that is closed.
    """

    def __init__(
        self, number: int, tasks: Sequence[PictureTask], send: Send, wanted: Wanted
    ) -> None:
        self._number = number
        self._send = send
        self._wanted = wanted
        self._lock = threading.Lock()  # guards the following
        self._open = {task.item for task in tasks}
        self._lengthy = {task.item for task in tasks if not task.is_brief}
        self._seconds = {task.item: dict.fromkeys(STAGES, 0.0) for task in tasks}
        self._pixels = 0
        self._run_seconds: float | None = None

    def spend(self, tasks: Sequence[PictureTask], stage: str, seconds: float) -> None:
        """Note the time of a stage that these pictures have shared."""
        with self._lock:
            for task in tasks:
                self._seconds[task.item][stage] += seconds / len(tasks)

    def computed(self, pixels: int) -> None:
        """Note that so many padded pixels went through the network."""
        with self._lock:
            self._pixels += pixels

    def finish_run(self, run_seconds: float) -> None:
        """Note for how long the batch held the device; closes it if all pictures are closed.

        Where drawing goes on for a while, the server hears that the device is free.
        """
        with self._lock:
            self._run_seconds = run_seconds
            is_done = not self._open
            goes_on = not self._open.isdisjoint(self._lengthy)
        if is_done:
            self._send_done(run_seconds)
        elif goes_on:
            self._send({"kind": "ran", "batch": self._number})

    def answer(self, task: PictureTask, body: bytes, num_instances: int) -> None:
        """Close a picture with its answer."""
        header = {"kind": "answer", "num_instances": num_instances}
        self._close(task, {**header, "seconds": self._seconds[task.item]}, body)

    def refuse(self, task: PictureTask, error: ServiceError) -> None:
        """Close a picture that is at fault itself."""
        self._close(task, {"kind": "refused", "error": error.kind, "detail": error.detail})

    def drop(self, task: PictureTask) -> None:
        """Close a picture that nobody waits for."""
        self._close(task, {"kind": "dropped"})

    def too_big(self, task: PictureTask, pixels: int) -> None:
        """Close a picture for which the memory is too small; its canvas has so many pixels."""
        self._close(task, {"kind": "too_big", "pixels": pixels})

    def defect(self, tasks: Iterable[PictureTask], text: str) -> None:
        """Close those of the pictures that are still open, by our own fault."""
        for task in tasks:
            if task.item in self._open:
                self._close(task, {"kind": "defect", "text": text})

    def _close(self, task: PictureTask, header: dict[str, Any], body: bytes = b"") -> None:
        self._send({**header, "item": task.item}, body)
        self._wanted.leave(task.item)
        with self._lock:
            self._open.remove(task.item)
            run_seconds = None if self._open else self._run_seconds
        if run_seconds is not None:
            self._send_done(run_seconds)

    def _send_done(self, run_seconds: float) -> None:
        spent = self._seconds.values()
        self._send(
            {
                "kind": "done",
                "batch": self._number,
                "pixels": self._pixels,
                "seconds": {stage: sum(one[stage] for one in spent) for stage in STAGES},
                "run_seconds": run_seconds,
            }
        )
