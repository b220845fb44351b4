"""From a request's body to pictures: raw bytes, multipart/form-data or JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request

from service.engine import Picture
from service.errors import (
    ClientGoneError,
    FeatureOffError,
    MalformedError,
    OptionError,
    ServiceError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.http.connection_state import FAULT
from service.http.multipart import split_form
from service.http.upload_room import Hold
from service.wording import nearest, quoted

RAW_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)
FORM_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"
PART_NAMES = ("image", "file", "images", "files")

# Of what the caller calls an image: it comes back in the answer, in errors and in logs.
MAX_ID_CHARACTERS = 1000
# What curl claims of any body that it is not told the type of.
_CURL_TYPE = "application/x-www-form-urlencoded"
_WHITESPACE = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a body holds: pictures in order, and the options that JSON may bring beside them.

    urls: where to fetch pictures that have no bytes yet, by their place.
    """

    pictures: tuple[Picture, ...]
    urls: Mapping[int, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def choose_reader(
    content_type: str | None, content_encoding: str | None, *, takes_urls: bool = False
) -> Callable[[bytes], Body]:
    """Return what reads a body of that type. No type at all is read as raw bytes.

    Args:
        takes_urls: whether JSON may name pictures by URL.
    Raises:
        UnsupportedMediaError: nothing reads it.
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise UnsupportedMediaError(
            f"Content-Encoding {quoted(content_encoding)} is not read; send the body as it is"
        )
    media_type = (content_type or RAW_TYPES[-1]).partition(";")[0].strip().lower()
    if media_type in RAW_TYPES:
        return lambda data: Body(pictures=(Picture(data=data),))
    if media_type == FORM_TYPE:
        return lambda data: _read_form(data, content_type or "")
    if media_type == JSON_TYPE:
        return lambda data: _read_json(data, takes_urls)
    hint = "; with curl, give it by -H 'Content-Type: …'" if media_type == _CURL_TYPE else ""
    raise UnsupportedMediaError(
        f"Content-Type {quoted(media_type)} is not read; "
        f"send {', '.join(RAW_TYPES)}, {FORM_TYPE} or {JSON_TYPE}{hint}"
    )


async def receive_body(request: Request, hold: Hold, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body, never holding more than `max_bytes`.

    Raises:
        TooLargeError: judged from Content-Length before anything is read, else while reading.
        MalformedError: it does not end in that time, or not as HTTP has it.
        QueueFullError: all requests together hold too many bytes.
        ClientGoneError: the client left before the end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise TooLargeError(f"the body has {declared} bytes; send at most {max_bytes}")
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


def _read_form(data: bytes, content_type: str) -> Body:
    pictures: list[Picture] = []
    for part in split_form(data, content_type):
        if part.name not in PART_NAMES:
            raise OptionError(
                f"the form has a part called {quoted(part.name)}; images are called "
                f"{', '.join(PART_NAMES)}, and options go into the query string"
            )
        _check_id(part.file_name, len(pictures), "file name")
        pictures.append(Picture(data=part.data, id=part.file_name or None))
    return Body(pictures=tuple(pictures))


def _read_json(data: bytes, takes_urls: bool) -> Body:
    try:
        body = json.loads(data, object_pairs_hook=_refuse_contradictions)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedError(f"the body is not valid JSON{where}; send UTF-8 JSON") from None
    if not isinstance(body, dict):
        raise MalformedError('the JSON body is not an object; send {"images": [...]}')
    if "image" in body and "images" in body:
        raise OptionError("the JSON body has both 'image' and 'images'; send one of them")
    images = body.pop("images", None)
    if "image" in body:
        images = [body.pop("image")]
    if images is None:
        raise OptionError('the JSON body has no \'images\'; send {"images": [{"data": ...}]}')
    if not isinstance(images, list):
        raise OptionError("'images' is not a list; a single one may be sent as 'image'")
    read = [_read_image(image, index, takes_urls) for index, image in enumerate(images)]
    return Body(
        pictures=tuple(picture for picture, _ in read),
        urls={index: url for index, (_, url) in enumerate(read) if url is not None},
        options=body,
    )


def _read_image(image: Any, index: int, takes_urls: bool) -> tuple[Picture, str | None]:
    """Return the picture; without bytes, but with its URL, if that is how it is given."""
    members = {"data": image} if isinstance(image, str) else image
    if not isinstance(members, dict):
        raise OptionError(f'image {index} is not an object; send {{"data": "<base64>"}}')
    known = ("data", "url", "id")
    for name in members:
        if name not in known:
            raise OptionError(
                f"image {index} has an unknown member {quoted(name)}; "
                f"the nearest known one is {quoted(nearest(name, known))}"
            )
    image_id = members.get("id")
    if not isinstance(image_id, str | None):
        raise OptionError(f"image {index} has the id {quoted(image_id)}; it must be a string")
    _check_id(image_id, index, "id")
    try:
        if members.get("url") is not None:
            return Picture(data=b"", id=image_id), _read_url(members, takes_urls)
        return Picture(data=_read_data(members), id=image_id), None
    except ServiceError as error:
        raise error.about_image(index, image_id) from None


def _check_id(image_id: str | None, index: int, kind: str) -> None:
    if image_id is not None and len(image_id) > MAX_ID_CHARACTERS:
        raise OptionError(
            f"the {kind} of image {index} has {len(image_id)} characters; send at most "
            f"{MAX_ID_CHARACTERS}"
        )


def _read_url(members: Mapping[str, Any], takes_urls: bool) -> str:
    if not takes_urls:
        raise FeatureOffError(
            "images by URL are switched off on this server; send the bytes instead"
        )
    url = members["url"]
    if not isinstance(url, str):
        raise OptionError(f"its 'url' is {quoted(url)}; it must be a string")
    if members.get("data") is not None:
        raise OptionError("it has both 'data' and 'url'; send one of them")
    return url


def _read_data(members: Mapping[str, Any]) -> bytes:
    encoded = members.get("data")
    if not isinstance(encoded, str):
        raise OptionError("it has no 'data'; send base64 or a data: URI")
    try:
        return _decode_base64(encoded)
    except ValueError:
        raise MalformedError(
            "its 'data' is not valid base64, nor a data: URI with base64"
        ) from None


def _decode_base64(text: str) -> bytes:
    """Return the bytes; ValueError if it is no base64. Line breaks are let pass."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError("not a base64 data: URI")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return base64.b64decode(_WHITESPACE.sub("", text), validate=True)


def _refuse_contradictions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members and members[name] != value:
            raise OptionError(f"the JSON body gives {quoted(name)} twice, with different values")
        members[name] = value
    return members
