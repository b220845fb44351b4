"""What becomes of a picture by what its worker says of it."""

from __future__ import annotations

import logging
import time

from service.errors import (
    INTERNAL_DETAIL,
    CostlyImageError,
    CrashedDecoderError,
    InternalError,
    QueueFullError,
    TooLargeError,
    by_kind,
)
from service.pool.messages import Answer, Defect, Dropped, Refused, TooBig
from service.pool.pending import PendingPicture
from service.pool.waiting_room import WaitingRoom
from service.pool.wire import Frame
from service.watch.metrics import Metrics

log = logging.getLogger(__name__)


def settle(
    picture: PendingPicture, frame: Frame, device: str, room: WaitingRoom, metrics: Metrics
) -> None:
    """Pass on what a worker says of a picture that has not been answered yet.

    Args:
        device: the worker's.
    """
    request = picture.request
    match frame.message:
        case Answer() as answer:
            _take_answer(picture, answer, frame.body, room, metrics)
        case Dropped():
            if request.unwanted:  # else it was answered for another of its pictures
                metrics.dropped(request.unwanted)
        case Refused(error=kind, detail=detail, retry_after_s=retry_after_s):
            if kind == CrashedDecoderError.kind:
                extra = {"request_id": request.job.request_id, "device": device}
                log.error("a decoder crashed over a picture", extra=extra)
            counted = (CostlyImageError.kind, CrashedDecoderError.kind, QueueFullError.kind)
            # A request is refused once, for however many of its pictures.
            if kind in counted and not request.is_over:
                metrics.refused(kind.replace("-", "_"))
            refusal = by_kind(kind)(detail, retry_after_s=retry_after_s)
            request.fail(refusal.about_image(picture.index, picture.id))
        case TooBig(pixels=pixels):
            room.has_no_memory(request.job.model, pixels, time.monotonic())
            error = TooLargeError("it needs more memory than this server has; send it smaller")
            request.fail(error.about_image(picture.index, picture.id))
        case Defect(text=text):
            extra = {"request_id": request.job.request_id, "device": device, "why": text}
            log.error("a worker's defect", extra=extra)
            request.fail(InternalError(INTERNAL_DETAIL))


def _take_answer(
    picture: PendingPicture, answer: Answer, body: bytes, room: WaitingRoom, metrics: Metrics
) -> None:
    request = picture.request
    picture.is_computed = True
    room.has_answer(picture, time.monotonic())
    metrics.picture(
        model=request.job.model,
        task=request.job.asked.task,
        num_instances=answer.num_instances,
    )
    if picture.span is not None:
        picture.span.picture(
            request.job.traceparent,
            index=picture.index,
            submitted=picture.submitted,
            seconds=answer.seconds,
        )
    queue_s = picture.sent - picture.submitted
    request.add(picture.index, body, {"queue": queue_s, **answer.seconds})
