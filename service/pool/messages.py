"""What the server and its worker processes say to each other: a record for each kind of message.

On the wire a record is a JSON object whose "kind" says which it is. What fits no record, or has a
member too many, is refused.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from service.engine import PictureTask


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message."""


class _Message(_Record, frozen=True, kw_only=True, tag_field="kind"):
    """A whole one."""


class ModelToLoad(_Record, frozen=True, kw_only=True):
    """A model for a worker; see `model.zoo.open_model`. name: None: that of its configuration."""

    name: str | None
    weights: str
    config: str | None
    overrides: list[str]
    categories: str | None


class BatchItem(_Record, frozen=True, kw_only=True):
    """One picture of a batch.

    number: the server's for it; answers name it as their `item`.
    offset, length: where its encoded bytes lie in the arena.
    id: what the caller calls it. request_id: what the logs call its request.
    """

    number: int
    offset: int
    length: int
    asked: PictureTask
    id: str | None
    request_id: str


# From the server to a worker.


class Load(_Message, frozen=True, kw_only=True, tag="load"):
    """The first of all: what to be.

    max_pixels, max_side: of a picture, as sent.
    warmup_sizes: (height, width) of pictures.
    max_batch_images, max_batch_pixels: the largest batch that will be asked for.
    """

    device: str
    models: list[ModelToLoad]
    max_pixels: int
    max_side: int
    decode_threads: int
    warmup_sizes: list[tuple[int, int]]
    max_batch_images: int
    max_batch_pixels: int
    arena_bytes: int
    log_level: str
    log_format: Literal["text", "json"]


class Batch(_Message, frozen=True, kw_only=True, tag="batch"):
    """Pictures to answer."""

    batch: int
    model: str
    items: list[BatchItem]


class Drop(_Message, frozen=True, kw_only=True, tag="drop"):
    """Nobody waits for that picture any more."""

    item: int


class Canary(_Message, frozen=True, kw_only=True, tag="canary"):
    """Prove that the device computes as at first."""


class Stop(_Message, frozen=True, kw_only=True, tag="stop"):
    """Finish what was received, and end."""


# From a worker to the server.


class Heartbeat(_Message, frozen=True, kw_only=True, tag="heartbeat"):
    """It lives. device_bytes: of the device's memory. rss_bytes: of the machine's."""

    device_bytes: int
    rss_bytes: int


class Loaded(_Message, frozen=True, kw_only=True, tag="loaded"):
    """The models are there. models: as `ModelInfo.to_json` tells them."""

    models: list[dict[str, Any]]


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """It takes batches. warmed: by model, see `WaitingRoom.expect`."""

    warmed: dict[str, tuple[int, float]]


class Failed(_Message, frozen=True, kw_only=True, tag="failed"):
    """It cannot load. is_operators: whether the operator can mend it."""

    text: str
    is_operators: bool


class Fatal(_Message, frozen=True, kw_only=True, tag="fatal"):
    """The device does not work any more."""

    text: str


class CanaryRan(_Message, frozen=True, kw_only=True, tag="canary_ran"):
    """How the canary is. text: what is wrong, if something is."""

    ok: bool
    text: str


class Ran(_Message, frozen=True, kw_only=True, tag="ran"):
    """The device is free of a batch, some of whose answers are still being drawn.

    has_aside: pictures of it are still being decoded, away from the others, and run later.
    """

    batch: int
    has_aside: bool = False


class Done(_Message, frozen=True, kw_only=True, tag="done"):
    """All pictures of a batch are closed. pixels: padded, that the network computed."""

    batch: int
    pixels: int
    run_seconds: float


class OfPicture(_Message, frozen=True, kw_only=True):
    """Closes one picture."""

    item: int


class Answer(OfPicture, frozen=True, kw_only=True, tag="answer"):
    """The frame's body is its answer. seconds: by stage."""

    num_instances: int
    seconds: dict[str, float]


class Refused(OfPicture, frozen=True, kw_only=True, tag="refused"):
    """It is not answered. error, detail, retry_after_s: of the `ServiceError`."""

    error: str
    detail: str
    retry_after_s: int | None = None


class Dropped(OfPicture, frozen=True, kw_only=True, tag="dropped"):
    """Nobody waited for it."""


class TooBig(OfPicture, frozen=True, kw_only=True, tag="too_big"):
    """There is no memory for it even alone. pixels: of its canvas."""

    pixels: int


class Defect(OfPicture, frozen=True, kw_only=True, tag="defect"):
    """We are at fault. text: for the log."""

    text: str


Message = (
    Load
    | (Batch | Drop | Canary | Stop)
    | (Heartbeat | Loaded | Ready | Failed | Fatal | CanaryRan | Ran | Done)
    | (Answer | Refused | Dropped | TooBig | Defect)
)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def to_json(message: Message) -> bytes:
    """Return a message as JSON.

    Half of a surrogate pair in somebody's text has no bytes in UTF-8; escaped it travels unharmed.
    """
    try:
        return _ENCODER.encode(message)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(message), allow_nan=False).encode("ascii")


def from_json(text: bytes | bytearray) -> Message:
    """Return the message that JSON tells. ValueError if there is no such message."""
    try:
        try:
            return _DECODER.decode(text)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # maybe half of a surrogate pair, which only `json` takes
            told: Message = msgspec.convert(json.loads(text), Message)
            return told
    except (msgspec.MsgspecError, ValueError) as error:  # not the same in old releases
        raise ValueError(f"a frame that is no message: {error}") from None
