"""Puts the engine together from the settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.configuration.settings import Settings
from service.pool.admission import Load
from service.pool.arena import Arena
from service.pool.batching import BatchLimits
from service.pool.canvas_record import CanvasRecord
from service.pool.dispatcher import Dispatcher
from service.pool.hang_watch import LinkTimes
from service.pool.link import WorkerLink
from service.pool.messages import Load as LoadMessage
from service.pool.messages import ModelToLoad
from service.pool.pool_engine import PoolEngine
from service.pool.seats import RestartTimes, Seat
from service.pool.waiting_room import WaitingRoom
from service.watch.metrics import Metrics

if TYPE_CHECKING:
    from service.watch.tracing_spans import Tracing

# Measured on a CPU (bench/results/serve-cpu.md): a batch of four took a fifth longer than four
# batches of one. Not measured on a GPU yet.
_CPU_BATCH, _GPU_BATCH = 1, 8
WORKER_COMMAND = (sys.executable, "-m", "service.worker.process")


def open_engine(
    settings: Settings,
    metrics: Metrics,
    command: Sequence[str] = WORKER_COMMAND,
    tracing: Tracing | None = None,
) -> PoolEngine:
    """Return the engine, not started.

    Args:
        settings: with devices that are there; each has one worker process.
        command: what runs a worker process.
        tracing: makes the spans of batches; None: nobody wants any.

    Raises:
        ValueError: the memory for waiting pictures cannot be had.
    """
    batch_limits = BatchLimits(
        max_images=_max_batch_images(settings), max_pixels=settings.max_batch_pixels
    )
    waiting = Load(
        images=settings.max_waiting_images,
        bytes=settings.max_waiting_bytes,
        pixels=settings.max_waiting_pixels,
    )
    arena = Arena(settings.max_waiting_bytes)
    room = WaitingRoom(arena, waiting, batch_limits)
    record = CanvasRecord(settings.canvas_record)

    link_times = LinkTimes(load=settings.load_timeout_s, heartbeat=settings.heartbeat_timeout_s)

    restart_times = RestartTimes(first=settings.restart_delay_s, most=settings.restart_delay_max_s)

    def open_seats(engine: PoolEngine) -> list[Seat]:
        def open_link(seat: Seat) -> WorkerLink:
            sizes = dict.fromkeys((*settings.warmup_sizes, *record.frequent))
            return WorkerLink(
                device=seat.device,
                command=command,
                load=_load_message(settings, seat.device, arena, list(sizes)),
                arena=arena,
                owner=seat,
                times=link_times,
            )

        return [
            Seat(device=device, open_link=open_link, owner=engine, times=restart_times)
            for device in settings.devices
            if _models_on(settings, device)
        ]

    return PoolEngine(
        open_seats,
        arena=arena,
        room=room,
        dispatcher=Dispatcher(room, metrics, hang_s=settings.hang_s, tracing=tracing),
        metrics=metrics,
        record=record,
        canary_every_s=settings.canary_every_s,
    )


def _max_batch_images(settings: Settings) -> int:
    """Return the setting; by default what the slowest kind of device does best."""
    if settings.max_batch_images is not None:
        return settings.max_batch_images
    return _CPU_BATCH if "cpu" in settings.devices else _GPU_BATCH


def _models_on(settings: Settings, device: str) -> list[ModelToLoad]:
    """Return what a worker for that device is told to load."""
    return [
        ModelToLoad(
            name=model.name,
            weights=model.weights,
            config=model.config,
            overrides=list(model.overrides),
            categories=None if model.categories is None else str(model.categories),
        )
        for model in settings.models
        if model.devices is None or device in model.devices
    ]


def _load_message(
    settings: Settings, device: str, arena: Arena, warmup_sizes: list[tuple[int, int]]
) -> LoadMessage:
    return LoadMessage(
        device=device,
        models=_models_on(settings, device),
        max_pixels=settings.max_pixels,
        max_side=settings.max_side,
        decode_threads=settings.decode_threads,
        warmup_sizes=warmup_sizes,
        max_batch_images=_max_batch_images(settings),
        max_batch_pixels=settings.max_batch_pixels,
        arena_bytes=arena.num_bytes,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
