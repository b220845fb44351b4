"""POST /convert: a native answer's masks into another form or another tool's shape, no model."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from model.answers.conversion import convert_image
from model.answers.dialects.choice import Masks, join
from model.answers.dialects.cvat import TooManyPixelsError
from service.configuration.settings import Settings
from service.errors import (
    DeadlineError,
    MalformedError,
    OptionError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.http.connections.while_connected import while_connected
from service.http.openapi.conversion_schemas import ConversionOptions, ConversionRequest, GivenImage
from service.http.requests.bodies import JSON_TYPE, receive_body
from service.http.requests.negotiation import JSON, time_allowed_s
from service.http.requests.upload_room import UploadRoom
from service.http.tools.conversion_options import masks_to_tell, read_conversion
from service.json_bytes import to_json
from service.wording import quoted

# A number in JSON takes a few bytes, and thirty in memory.
MAX_BYTES = 8 * 2**20
MAX_WAITING_BYTES = 8 * MAX_BYTES
# That one request may have drawn, cut out or measured: some seconds of a core.
MAX_PIXELS = 2**29


class _StoppedError(Exception):
    """Nobody waits for the conversion any more."""


class _Work:
    """What a conversion may still do, and whether somebody waits for it."""

    def __init__(self) -> None:
        self.is_stopped = threading.Event()
        self._pixels = MAX_PIXELS

    def spend(self, pixels: int) -> None:
        """Count pixels. Raises TooLargeError if they are too many."""
        if self.is_stopped.is_set():
            raise _StoppedError
        self._pixels -= pixels
        if self._pixels < 0:
            raise TooLargeError(
                f"the masks have more than {MAX_PIXELS} pixels to work on; send fewer at a time"
            )


class ConvertRoutes:
    """The route that turns answers into other answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room = UploadRoom(MAX_WAITING_BYTES)
        # One at a time, in a thread: it must not take the processor from the segmentation.
        self._turn = asyncio.Semaphore(1)

    def add_to(self, app: FastAPI) -> None:
        """Register the route."""
        app.add_api_route("/convert", self.convert, methods=["POST"])

    async def convert(self, request: Request) -> Response:
        """Answer with what was sent, in the form that is asked for."""
        settings = self._settings
        allowed_s = time_allowed_s(request.headers.get("x-request-timeout"), settings.deadline_s)
        options = read_conversion(request.query_params.multi_items())
        _check_type(request.headers.get("content-type"))
        work = _Work()
        try:
            async with asyncio.timeout(allowed_s) as limit:
                with self._room.hold() as hold:
                    most = min(MAX_BYTES, settings.max_body_bytes)
                    data = await receive_body(request, hold, most, settings.body_timeout_s)
                    converting = self._convert(data, options, work)
                    body = await while_connected(request.receive, converting)
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineError(
                f"the conversion was not done within {allowed_s:g} s; send fewer masks at a time"
            ) from None
        finally:
            work.is_stopped.set()
        return Response(body, media_type=JSON)

    async def _convert(self, data: bytes, options: ConversionOptions, work: _Work) -> bytes:
        async with self._turn:
            return await asyncio.to_thread(_converted, data, options, work, self._settings)


def _converted(data: bytes, options: ConversionOptions, work: _Work, settings: Settings) -> bytes:
    sent = _read(data)
    is_panoptic = sent.images[0].segments is not None
    masks = masks_to_tell(options, is_panoptic=is_panoptic)
    parts = [
        to_json(_converted_image(image, index, options, masks, work, settings))
        for index, image in enumerate(sent.images)
    ]
    return join(options.format, sent.model.model_dump(), parts, is_panoptic=is_panoptic)


def _converted_image(
    image: GivenImage,
    index: int,
    options: ConversionOptions,
    masks: Masks,
    work: _Work,
    settings: Settings,
) -> dict[str, Any] | list[dict[str, Any]]:
    if max(image.width, image.height) > settings.max_side or (
        image.width * image.height > settings.max_pixels
    ):
        raise TooLargeError(
            f"image {index} is {image.width}×{image.height}; at most {settings.max_pixels} pixels, "
            f"and {settings.max_side} a side, are converted"
        )
    try:
        return convert_image(
            _native(image), options.format, masks, tolerance=options.tolerance, spend=work.spend
        )
    except TooManyPixelsError as error:
        raise TooLargeError(f"image {index}: {error}") from None
    except ValueError as error:
        raise OptionError(f"image {index}: {error}") from None


def _native(image: GivenImage) -> dict[str, Any]:
    """Return an image's member as an answer of ours has it."""
    member: dict[str, Any] = {"id": None, **image.model_dump(exclude_none=True)}
    for row in member.get("instances", ()):
        row.setdefault("score", 1.0)
    for row in member.get("instances") or member.get("segments") or ():
        row["category"] = row["category"] or str(row["category_id"])
    return member


def _read(data: bytes) -> ConversionRequest:
    try:
        return ConversionRequest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "json_invalid":
            raise MalformedError(f"the body is not valid JSON: {message[:200]}") from None
        where = ".".join(str(step) for step in first["loc"])[:200] or "the body"
        raise OptionError(f"{where}: {message[:200]}") from None


def _check_type(content_type: str | None) -> None:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        raise UnsupportedMediaError(
            f"Content-Type {quoted(media_type)} is not converted; send {JSON_TYPE}"
        )
