"""The way of a batch through a worker: prepared, run, encoded and sent.

prepare   one thread, while the batch before it runs; see `preparing.py`
run       the thread that has the device
encode    a pool, and another for what takes long; the last picture to be closed closes the batch

A picture that is alone in the worker is taken all the way by the thread that has the device.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NoReturn

from model.categories import Categories
from model.prediction.stages import StageTimes
from model.structures import Instances, PanopticSegmentation
from service.errors import ServiceError
from service.pool.arena import ArenaView
from service.pool.messages import Batch, BatchItem
from service.worker.failures import Failure, failure_of, one_line
from service.worker.groups import DecodedPicture, Group, PreparedBatch
from service.worker.models import LoadedModel, free_memory
from service.worker.pictures import encode_answer, num_instances
from service.worker.preparing import Preparer
from service.worker.report import BatchReport, Send
from service.worker.wanted import Wanted

log = logging.getLogger(__name__)

Result = Instances | PanopticSegmentation
# Has an answer encoded, some time.
Encode = Callable[[BatchItem, Callable[[], None]], object]


class _UnwantedError(Exception):
    """Nobody waits for the answer that is being encoded."""


class BatchRunner:
    """Takes batches through the worker.

    Args:
        models: by the names that batches give.
        max_pixels, max_side: of a picture, as sent.
        num_threads: that decode, as many more that encode, and as many that draw.
        wanted: says which pictures somebody still waits for; what nobody does is not begun.
        send: sends a frame; any thread may call it.
        has_next: says whether a batch waits behind the one that runs.
        put_late: takes a batch of what was put aside while others ran, to be run in its turn.
        on_fatal: ends the process, as the device does not work any more.
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
        has_next: Callable[[], bool],
        put_late: Callable[[PreparedBatch], None],
        on_fatal: Callable[[str], NoReturn],
    ) -> None:
        self._wanted = wanted
        self._has_next = has_next
        self._on_fatal = on_fatal
        self._preparer = Preparer(
            models,
            arena,
            max_pixels=max_pixels,
            max_side=max_side,
            num_threads=num_threads,
            wanted=wanted,
            send=send,
            give_up=self._give_up,
            put_late=put_late,
        )
        self._encoders = ThreadPoolExecutor(num_threads, thread_name_prefix="encode")
        self._drawers = ThreadPoolExecutor(num_threads, thread_name_prefix="draw")

    def prepare(self, batch: Batch) -> PreparedBatch:
        """Return what there is to run of a batch; what can't be decoded is refused at once."""
        return self._preparer.prepare(batch)

    def run(self, prepared: PreparedBatch) -> None:
        """Put a batch through the network; other threads encode and send the answers.

        That of a lone picture is encoded here, if it is brief and nothing waits for the device.
        """
        report = prepared.report
        own: list[Callable[[], None]] = []

        def encode(item: BatchItem, encoding: Callable[[], None]) -> None:
            if prepared.is_brief:
                own.append(encoding)
            else:
                (self._encoders if item.asked.is_brief else self._drawers).submit(encoding)

        started = time.perf_counter()
        for group in prepared.groups:
            self._run_group(group, report, encode)
        report.finish_run(time.perf_counter() - started)
        for encoding in own:
            if self._has_next():
                self._encoders.submit(encoding)
            else:
                encoding()

    def finish_preparing(self) -> None:
        """Return once everything is ready to run; nothing can be prepared after this."""
        self._preparer.finish()

    def finish(self) -> None:
        """Return once all answers are sent; nothing can be run after this."""
        self._encoders.shutdown()
        self._drawers.shutdown()

    def _run_group(self, group: Group, report: BatchReport, encode: Encode) -> None:
        group = self._only_wanted(group, report)
        if not group.pictures:
            return
        try:
            results = self._compute(group, report)
        except Exception as error:
            failure = failure_of(error)
            is_alone = len(group.pictures) == 1
            if failure is Failure.DEVICE or (failure is Failure.DEFECT and is_alone):
                self._give_up(error, group.items, report)
                return
            if failure is Failure.DEFECT:
                log.warning("a batch failed; its images run one by one", exc_info=error)
        else:
            categories = group.model.predictor.categories
            for picture, result in zip(group.pictures, results, strict=True):
                encoding = partial(self._encode, report, picture, result, categories)
                encode(picture.item, encoding)
            return
        # Not in the handler: the exception keeps alive all that was computed so far.
        if failure is Failure.MEMORY:
            self._run_in_halves(group, report, encode)
        else:
            for picture in group.pictures:
                self._run_group(group.unprepared([picture]), report, encode)

    def _only_wanted(self, group: Group, report: BatchReport) -> Group:
        """Return the part of a group that somebody waits for, and close the rest."""
        kept = [i for i, item in enumerate(group.items) if item.number in self._wanted]
        if len(kept) == len(group.pictures):
            return group
        for i in set(range(len(group.pictures))).difference(kept):
            report.drop(group.pictures[i].item)
        return group.part(kept)

    def _run_in_halves(self, group: Group, report: BatchReport, encode: Encode) -> None:
        """Run what did not fit into the memory as two groups; give up a picture that is alone."""
        group.batch = None
        free_memory(group.model.predictor.device)
        number = len(group.pictures)
        log.warning("out of memory", extra={"num_images": number, "pixels": number * group.pixels})
        if number == 1:
            report.too_big(group.items[0], group.pixels)
            return
        for half in (group.pictures[: number // 2], group.pictures[number // 2 :]):
            self._run_group(group.unprepared(half), report, encode)

    def _compute(self, group: Group, report: BatchReport) -> Sequence[Result]:
        predictor = group.model.predictor
        batch = group.batch or self._preparer.put_on_device(group, report)
        options = [item.asked.predict for item in group.items]
        stages = StageTimes()
        results: Sequence[Result]
        if group.items[0].asked.task == "segment":
            results = predictor.segment_batch(batch, options, stages=stages)
        else:
            results = predictor.panoptic_batch(batch, options, stages=stages)
        for stage, seconds in stages.seconds.items():
            report.spend(group.items, stage, seconds)
        report.computed(len(group.pictures) * group.pixels)
        group.batch = None
        return results

    def _encode(
        self,
        report: BatchReport,
        picture: DecodedPicture,
        result: Result,
        categories: Categories,
    ) -> None:
        def check() -> None:
            if picture.item.number not in self._wanted:
                raise _UnwantedError

        stages = StageTimes()
        try:
            with stages.measure("encode"):
                body = encode_answer(picture.item, picture.image, result, categories, check)
            report.spend([picture.item], "encode", stages.seconds["encode"])
            report.answer(picture.item, body, num_instances(result))
        except _UnwantedError:
            report.drop(picture.item)
        except ServiceError as error:
            report.refuse(picture.item, error)
        except Exception as error:
            self._give_up(error, [picture.item], report)

    def _give_up(self, error: Exception, items: Sequence[BatchItem], report: BatchReport) -> None:
        """Log an exception that is not the pictures' fault, and tell the server."""
        request_ids = " ".join(dict.fromkeys(item.request_id for item in items))
        log.error("a batch failed", exc_info=error, extra={"request_id": request_ids})
        if failure_of(error) is Failure.DEVICE:
            self._on_fatal(one_line(error))
        report.defect(items, one_line(error))
