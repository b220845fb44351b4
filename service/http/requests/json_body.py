"""A JSON body: images as base64 or by URL, and options beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from service.errors import (
    FeatureOffError,
    MalformedError,
    OptionError,
    ServiceError,
    TooLargeError,
)
from service.http.requests.base64_data import decode_base64
from service.http.requests.sent_images import Body, SentImage, check_id
from service.wording import nearest, quoted

# A value takes two characters of JSON and hundreds of bytes of memory, and before it one of these
# marks, which base64 has not. So many are let pass, and as many more for each image.
_MARKS = (b",", b"[", b"{")
_MAX_MARKS, _MAX_MARKS_PER_IMAGE = 100_000, 20
_IMAGE_MEMBERS = ("data", "url", "id")


def read_json(data: bytes, *, max_images: int, takes_urls: bool) -> Body:
    """Return what the body holds; its options may have names that there are not.

    Args:
        max_images: for which there is room among the values that are let pass.
        takes_urls: whether it may name pictures by URL.
    Raises:
        TooLargeError: it holds more values than any request needs; judged before it is read.
        MalformedError, OptionError: it cannot be read, or contradicts itself.
    """
    max_marks = _MAX_MARKS + _MAX_MARKS_PER_IMAGE * max_images
    if sum(data.count(mark) for mark in _MARKS) > max_marks:
        raise TooLargeError(
            f"the JSON body holds more than {max_marks} values; send fewer, and at most "
            f"{max_images} images"
        )
    try:
        body = json.loads(data, object_pairs_hook=_refuse_contradictions)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedError(f"the body is not valid JSON{where}; send UTF-8 JSON") from None
    if not isinstance(body, dict):
        raise MalformedError('the JSON body is not an object; send {"images": [...]}')
    image, images = body.pop("image", None), body.pop("images", None)
    if image is not None and images is not None:
        raise OptionError("the JSON body has both 'image' and 'images'; send one of them")
    if images is not None and not isinstance(images, list):
        raise OptionError("'images' is not a list; a single one may be sent as 'image'")
    read_image = partial(_read_image, takes_urls=takes_urls)
    if image is None and images is None:
        if_empty = 'the JSON body has no \'images\'; send {"images": [{"data": ...}]}'
        return Body(images=(), read_image=read_image, options=body, if_empty=if_empty)
    images = [image] if images is None else images
    return Body(images=images, read_image=read_image, options=body)


def _read_image(image: Any, index: int, takes_urls: bool) -> SentImage:
    image_id = None
    try:
        members = {"data": image} if isinstance(image, str) else image
        if not isinstance(members, dict):
            raise OptionError('it is not an object; send {"data": "<base64>"}')
        image_id = _read_id(members)
        for name in members:
            if name not in _IMAGE_MEMBERS:
                raise OptionError(
                    f"it has an unknown member {quoted(name)}; "
                    f"the nearest known one is {quoted(nearest(name, _IMAGE_MEMBERS))}"
                )
        if members.get("url") is not None:
            return SentImage(url=_read_url(members, takes_urls), id=image_id)
        return SentImage(data=_read_data(members), id=image_id)
    except ServiceError as error:
        raise error.about_image(index, image_id) from None


def _read_id(members: Mapping[str, Any]) -> str | None:
    image_id = members.get("id")
    if not isinstance(image_id, str | None):
        raise OptionError(f"its id is {quoted(image_id)}; it must be a string")
    check_id(image_id, "id")
    return image_id


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
    return decode_base64(encoded)


def _refuse_contradictions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members and members[name] != value:
            raise OptionError(f"the JSON body gives {quoted(name)} twice, with different values")
        members[name] = value
    return members
