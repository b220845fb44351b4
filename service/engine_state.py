"""How the engine stands at one moment: its queues, its workers, its models, its shared memory."""

from __future__ import annotations

from dataclasses import dataclass

from service.engine import ModelInfo


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """What waits for one model.

    pixels: of the pictures as they were sent. bytes: encoded. oldest_seconds: how long the
    first in line has waited, 0 when nobody does. expected_seconds: until the last is done.
    """

    model: str
    images: int
    pixels: int
    bytes: int
    oldest_seconds: float
    expected_seconds: float


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """One worker process as its last heartbeat told.

    up: it takes batches. device_bytes: memory its models hold on the device, 0 on the CPU.
    rss_bytes: its resident memory. pid: 0 while there is no process.
    """

    device: str
    up: bool
    device_bytes: int
    rss_bytes: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """All of it. arena_bytes, arena_used_bytes: the memory that holds waiting pictures."""

    queues: tuple[QueueState, ...]
    workers: tuple[WorkerState, ...]
    models: tuple[ModelInfo, ...]
    arena_bytes: int
    arena_used_bytes: int
