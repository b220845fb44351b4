"""From a request's body to images, which are yet to be read: raw bytes, a form or JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial

from starlette.requests import ClientDisconnect, Request

from service.errors import (
    ClientGoneError,
    MalformedError,
    NotAnImageError,
    OptionError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.http.connections.connection_state import FAULT
from service.http.requests.json_body import read_json
from service.http.requests.mistaken import hint
from service.http.requests.multipart import Part, split_form
from service.http.requests.sent_images import Body, SentImage, check_id
from service.http.requests.upload_room import Hold
from service.wording import quoted

RAW_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)
# What some clients and operating systems call these; the bytes decide anyway.
RAW_ALIASES = (
    *("image/jpg", "image/pjpeg", "image/jfif", "image/x-png", "image/tif", "image/x-tiff"),
    *("image/x-bmp", "image/x-ms-bmp", "binary/octet-stream"),
)
FORM_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"
PART_NAMES = ("image", "file", "images", "files")
# As PHP, Rails and many uploaders call the parts of a list.
_IMAGE_PART = re.compile(rf"(?:{'|'.join(PART_NAMES)})(?:\[\d*\])?")

# Options of a form, of which `classes` may come many times.
MAX_FIELDS = 200

# What curl claims of any body that it is not told the type of.
_CURL_TYPE = "application/x-www-form-urlencoded"
# Of a number of bytes that anybody can mean.
_MAX_DIGITS = 20


def choose_reader(
    content_type: str | None,
    content_encoding: str | None,
    *,
    max_images: int,
    takes_urls: bool = False,
) -> Callable[[bytes], Body]:
    """Return what reads a body of that type. No type at all is read as raw bytes.

    Args:
        max_images: a body that must hold more of them is refused before it is taken apart.
        takes_urls: whether JSON may name pictures by URL.
    Raises:
        UnsupportedMediaError: nothing reads it.
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise UnsupportedMediaError(
            f"Content-Encoding {quoted(content_encoding)} is not read; send the body as it is"
        )
    media_type = (content_type or RAW_TYPES[-1]).partition(";")[0].strip().lower()
    if media_type in RAW_TYPES or media_type in RAW_ALIASES:
        return lambda data: Body(images=(data,), read_image=_read_raw)
    if media_type == FORM_TYPE:
        return partial(_read_form, content_type=content_type or "", max_images=max_images)
    if media_type == JSON_TYPE:
        return partial(read_json, max_images=max_images, takes_urls=takes_urls)
    how = "; with curl, give it by -H 'Content-Type: …'" if media_type == _CURL_TYPE else ""
    raise UnsupportedMediaError(
        f"Content-Type {quoted(media_type)} is not read; "
        f"send {', '.join(RAW_TYPES)}, {FORM_TYPE} or, for JSON, {JSON_TYPE}{how}"
    )


async def receive_body(request: Request, hold: Hold, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body, never holding more than `max_bytes`.

    Raises:
        TooLargeError: judged from Content-Length before anything is read, else while reading.
        MalformedError: it does not end in that time, or not as HTTP has it.
        QueueFullError: all requests together hold too many bytes.
        ClientGoneError: the client left before the end.
    """
    declared = request.headers.get("content-length", "").lstrip("0")
    # Python reads no number of thousands of digits, though most may be zeros.
    if declared.isdecimal() and (len(declared) > _MAX_DIGITS or int(declared) > max_bytes):
        raise TooLargeError(f"the body has {declared[:80]} bytes; send at most {max_bytes}")
    try:
        async with asyncio.timeout(timeout_s) as limit:
            data = await _collect(request, hold, max_bytes)
    except ClientDisconnect:
        raise ClientGoneError("the client left while sending the body") from None
    except TimeoutError:
        if not limit.expired():
            raise
        raise MalformedError(
            f"the body did not arrive within {timeout_s:g} s; send fewer bytes, or faster"
        ) from None
    fault = request.scope.get("state", {}).get(FAULT)
    if fault is not None:
        raise MalformedError(fault)
    return data


async def _collect(request: Request, hold: Hold, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > max_bytes:
            raise TooLargeError(f"the body has more than {max_bytes} bytes; send fewer")
        hold.take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _read_raw(data: bytes, index: int) -> SentImage:
    _refuse_mistaken(data, index, None)
    return SentImage(data=data)


def _read_form(data: bytes, *, content_type: str, max_images: int) -> Body:
    images, fields = [], []
    for part in split_form(data, content_type, max_images + MAX_FIELDS):
        if _IMAGE_PART.fullmatch(part.name):
            if part.data or part.file_name != "":  # as a browser sends where no file was chosen
                images.append(part)
        elif part.file_name is None:
            fields.append((part.name, part.data))
        else:
            raise OptionError(
                f"the form has a file called {quoted(part.name)}; images are called "
                f"{', '.join(PART_NAMES)}"
            )
    if len(fields) > MAX_FIELDS:
        raise TooLargeError(f"the form has {len(fields)} fields; send at most {MAX_FIELDS}")
    return Body(images=images, read_image=_read_part, fields=[_read_field(*one) for one in fields])


def _read_field(name: str, data: bytes) -> tuple[str, str]:
    try:
        return name, data.decode()
    except UnicodeDecodeError:
        raise MalformedError(f"the form's field {quoted(name)} is not UTF-8") from None


def _read_part(part: Part, index: int) -> SentImage:
    try:
        check_id(part.file_name, "file name")
    except OptionError as error:
        raise error.about_image(index, None) from None
    _refuse_mistaken(part.data, index, part.file_name or None)
    return SentImage(data=part.data, id=part.file_name or None)


def _refuse_mistaken(data: bytes, index: int, image_id: str | None) -> None:
    what = hint(data)
    if what is not None:
        raise NotAnImageError(what).about_image(index, image_id)
