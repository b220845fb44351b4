"""The images of a request as they were sent, and how they become pictures, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.configuration.settings import Settings
from service.engine import Picture
from service.errors import OptionError, TooLargeError
from service.http.requests.picture_limits import judge_picture

# Of what the caller calls an image: it comes back in the answer, in errors and in logs.
MAX_ID_CHARACTERS = 1000


@dataclass(frozen=True, kw_only=True)
class SentImage:
    """One image: its encoded bytes, or the URL to fetch them from; and what the caller calls it."""

    data: bytes = b""
    url: str | None = None
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a body holds, taken apart no further than it takes to count its images.

    images: in order, whatever they are in a body of that form.
    read_image: takes one of them and its index; a ServiceError of it names them.
    options: what JSON brings beside the images.
    fields: what a form does, in order, as text.
    if_empty: what a client is told that sent no image.
    """

    images: Sequence[Any]
    read_image: Callable[[Any, int], SentImage]
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[tuple[str, str]] = ()
    if_empty: str = "the request holds no image; send at least one"


def read_pictures(body: Body, settings: Settings) -> tuple[tuple[Picture, ...], dict[int, str]]:
    """Return the pictures, and by place the URLs of those whose bytes have yet to be fetched.

    Each is read and judged before the next, so that the first bad one is named, whatever is
    wrong with it; what only fetching or decoding shows comes later.

    Raises:
        ServiceError: there are none or too many, or names the first bad one.
    """
    num_images = len(body.images)
    if num_images == 0:
        raise OptionError(body.if_empty)
    if num_images > settings.max_images:
        raise TooLargeError(
            f"the request holds {num_images} images; send at most {settings.max_images}"
        )
    pictures, urls = [], {}
    for index, image in enumerate(body.images):
        sent = body.read_image(image, index)
        picture = Picture(data=sent.data, id=sent.id)
        if sent.url is None:
            picture = judge_picture(picture, index, settings)
        else:
            urls[index] = sent.url
        pictures.append(picture)
    return tuple(pictures), urls


def check_id(image_id: str | None, kind: str) -> None:
    """Raise OptionError if what the caller calls an image is too long.

    Args:
        kind: what the caller calls that name.
    """
    if image_id is not None and len(image_id) > MAX_ID_CHARACTERS:
        raise OptionError(
            f"its {kind} has {len(image_id)} characters; send at most {MAX_ID_CHARACTERS}"
        )
