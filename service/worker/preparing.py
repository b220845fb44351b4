"""The first half of a batch's way: decoded, grouped, and put on the device.

One thread does it while the batch before it runs; a pool decodes and resizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from model.prediction.stages import StageTimes
from model.structures import ImageBatch
from service.errors import ServiceError
from service.pool.arena import ArenaView
from service.pool.messages import Batch, BatchItem
from service.worker.failures import Failure, failure_of
from service.worker.groups import DecodedPicture, Group, PreparedBatch, grouped
from service.worker.models import LoadedModel
from service.worker.pictures import decode_picture
from service.worker.report import BatchReport, GiveUp, Send
from service.worker.wanted import Wanted


class Preparer:
    """Makes groups that can run of what the server asks for.

    Args:
        models: by the names that batches give.
        max_pixels, max_side: of a picture, as sent.
        num_threads: that decode.
        wanted: says which pictures somebody still waits for; the others are not begun.
        give_up: closes pictures after an exception that is not their fault.
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
    ) -> None:
        self._models = models
        self._arena = arena
        self._max_pixels = max_pixels
        self._max_side = max_side
        self._wanted = wanted
        self._send = send
        self._give_up = give_up
        self._decoders = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")

    def prepare(self, batch: Batch) -> PreparedBatch:
        """Return what there is to run of a batch; what can't be decoded is refused at once."""
        items = batch.items
        report = BatchReport(batch.batch, items, self._send, self._wanted)
        groups: list[Group] = []
        try:
            model = self._models[batch.model]
            decoded = self._map_of(items)(lambda item: self._decode(item, report), items)
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
        """Give the threads back; nothing can be prepared after this."""
        self._decoders.shutdown()

    def _map_of(self, pictures: Sequence[Any]) -> Callable[..., Iterator[Any]]:
        """Return what works on them in parallel; one of them changes no thread, which costs."""
        return self._decoders.map if len(pictures) > 1 else map

    def _decode(self, item: BatchItem, report: BatchReport) -> DecodedPicture | None:
        if item.number not in self._wanted:
            report.drop(item)
            return None
        stages = StageTimes()
        try:
            with stages.measure("decode"):
                image = decode_picture(
                    self._arena.read(item.offset, item.length),
                    max_pixels=self._max_pixels,
                    max_side=self._max_side,
                )
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
