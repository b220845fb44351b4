"""The first half of a batch's way: decoded, grouped, and put on the device.

One thread does it while the batch before it runs; a pool decodes and resizes. Pictures whose
decoding may take long are put aside, and run when they are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import numpy as np

from model.pictures.background import Background
from model.pictures.decoding_process import StoppedError
from model.prediction.stages import StageTimes
from model.structures import ImageBatch
from service.errors import QueueFullError, ServiceError
from service.pool.arena import ArenaView
from service.pool.messages import Batch, BatchItem
from service.worker.aside import CPU_S, Aside, is_costly
from service.worker.failures import Failure, failure_of
from service.worker.groups import DecodedPicture, Group, PreparedBatch, grouped
from service.worker.models import LoadedModel
from service.worker.pictures import decode_picture
from service.worker.report import BatchReport, GiveUp, Send
from service.worker.wanted import Wanted

_CROWDED = "too many images wait already that take long to decode; send it later, or saved anew"
# When one of those that wait is through at the latest.
_CROWDED_RETRY_S = int(CPU_S)


class Decode(Protocol):
    """Returns the pixels of a picture."""

    def __call__(
        self, data: bytes, *, max_pixels: int, max_side: int, background: Background | None
    ) -> np.ndarray:
        """Return them, upright: RGB uint8 (H, W, 3). Raises ServiceError."""
        ...


class Preparer:
    """Makes groups that can run of what the server asks for.

    Args:
        models: by the names that batches give.
        max_pixels, max_side: of a picture, as sent.
        num_threads: that decode.
        wanted: says which pictures somebody still waits for; the others are not begun.
        give_up: closes pictures after an exception that is not their fault.
        put_late: takes what was put aside and is ready to run; any thread calls it.
    """

    def __init__(
        self,
        models: Mapping[str, LoadedModel],
        arena: ArenaView,
        *,
        max_pixels: int,
        max_side: int,
        num_threads: int,
        wanted: Wanted,
        send: Send,
        give_up: GiveUp,
        put_late: Callable[[PreparedBatch], None],
    ) -> None:
        self._models = models
        self._arena = arena
        self._max_pixels = max_pixels
        self._max_side = max_side
        self._wanted = wanted
        self._send = send
        self._give_up = give_up
        self._put_late = put_late
        self._decoders = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
        self._aside = Aside(max(1, num_threads // 2))

    def prepare(self, batch: Batch) -> PreparedBatch:
        """Return what there is to run of a batch; what can't be decoded is refused at once."""
        items = batch.items
        report = BatchReport(batch.batch, items, self._send, self._wanted)
        groups: list[Group] = []
        try:
            model = self._models[batch.model]
            at_once = self._put_aside(model, items, report)
            decoded = self._map_of(at_once)(
                lambda sent: self._decode(sent[0], sent[1], report), at_once
            )
            groups = grouped(model, [picture for picture in decoded if picture is not None])
        except Exception as error:
            self._give_up(error, items, report)
        ready = [group for group in groups if self._is_to_run(group, report)]
        return PreparedBatch(groups=ready, report=report)

    def put_on_device(self, group: Group, report: BatchReport) -> ImageBatch:
        """Return a group's pictures as the network takes them; the group has them from now on."""
        stages = StageTimes()
        with stages.measure("preprocess"):
            images = [picture.image for picture in group.pictures]
            group.batch = group.model.predictor.prepare(images, picture_map=self._map_of(images))
        report.spend(group.items, "preprocess", stages.seconds["preprocess"])
        return group.batch

    def finish(self) -> None:
        """Return once what was put aside is ready to run; nothing can be prepared after this."""
        self._aside.finish()
        self._decoders.shutdown()

    def _put_aside(
        self, model: LoadedModel, items: Sequence[BatchItem], report: BatchReport
    ) -> list[tuple[BatchItem, bytes]]:
        """Put the costly pictures aside; return the others with their encoded bytes."""
        at_once: list[tuple[BatchItem, bytes]] = []
        costly: list[tuple[BatchItem, bytes]] = []
        for item in items:
            data = bytes(self._arena.read(item.offset, item.length))
            if not is_costly(data):
                at_once.append((item, data))
            elif self._aside.let_in(data):
                costly.append((item, data))
            else:
                report.refuse(item, QueueFullError(_CROWDED, retry_after_s=_CROWDED_RETRY_S))
        report.put_aside(len(costly))
        for item, data in costly:
            self._aside.start(data, partial(self._prepare_aside, model, item, data, report))
        return at_once

    def _prepare_aside(
        self, model: LoadedModel, item: BatchItem, data: bytes, report: BatchReport
    ) -> None:
        ready: list[Group] = []
        try:
            decode = partial(self._aside.decode, is_wanted=lambda: item.number in self._wanted)
            picture = self._decode(item, data, report, decode)
            groups = [] if picture is None else grouped(model, [picture])
            ready = [group for group in groups if self._is_to_run(group, report)]
        except Exception as error:
            self._give_up(error, [item], report)
        self._put_late(PreparedBatch(groups=ready, report=report))

    def _map_of(self, pictures: Sequence[Any]) -> Callable[..., Iterator[Any]]:
        """Return what works on them in parallel; one of them changes no thread, which costs."""
        return self._decoders.map if len(pictures) > 1 else map

    def _decode(
        self,
        item: BatchItem,
        data: bytes,
        report: BatchReport,
        decode: Decode = decode_picture,
    ) -> DecodedPicture | None:
        if item.number not in self._wanted:
            report.drop(item)
            return None
        stages = StageTimes()
        try:
            with stages.measure("decode"):
                image = decode(
                    data,
                    max_pixels=self._max_pixels,
                    max_side=self._max_side,
                    background=item.asked.background,
                )
        except StoppedError:
            report.drop(item)
            return None
        except ServiceError as error:
            report.refuse(item, error)
            return None
        except Exception as error:
            self._give_up(error, [item], report)
            return None
        report.spend([item], "decode", stages.seconds["decode"])
        return DecodedPicture(item=item, image=image)

    def _is_to_run(self, group: Group, report: BatchReport) -> bool:
        """Put a group on the device; return whether it is to run. Without memory, that is later."""
        try:
            self.put_on_device(group, report)
        except Exception as error:
            if failure_of(error) is not Failure.MEMORY:
                self._give_up(error, group.items, report)
                return False
        return True
