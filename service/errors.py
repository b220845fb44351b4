"""Everything that a request can be refused for, and how each reads over HTTP.

    ServiceError
    ├── MalformedError          400  the body is not what it says it is (JSON, multipart, base64)
    ├── NotAnImageError         400  no image, or a truncated one
    ├── CrashedDecoderError     400  an image over which a decoder crashed, in a process of its own
    ├── UrlFetchError           400  nothing to be had at the URL of an image
    ├── KeyRequiredError        401  no API key, or one that is not known
    ├── FeatureOffError         403  the operator has it switched off
    ├── ForbiddenUrlError       403  the URL of an image leads where it must not
    ├── NoSuchRouteError        404
    ├── NoSuchModelError        404
    ├── WrongMethodError        405
    ├── ReloadError             409  new weights or keys cannot be had
    ├── TooLargeError           413  more bytes, pixels or images than the limits
    ├── CostlyImageError        413  an image whose decoding took too long and was cut off
    ├── UnsupportedMediaError   415  a media type or an image format that is not read
    ├── OptionError             422  an option that is unknown, out of range or contradictory
    ├── PoisonError             422  an image under which workers died
    ├── QueueFullError          429
    ├── ClientGoneError         499  nobody is left to read this; metrics only
    ├── UnavailableError        503  loading, draining, or stopped under this request
    └── DeadlineError           504

Any other exception is a defect of ours: 500, logged with the request id, told to nobody.
The text of a `ServiceError` goes to the client as it is: one sentence that says what to change.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from service.wording import quoted

MEDIA_TYPE = "application/problem+json"
INTERNAL_DETAIL = "An unexpected error on the server; quote the request id when reporting it."


class ServiceError(Exception):
    """A refusal that the client is told about.

    Args:
        detail: one sentence that says what to change, with the offending value.
        retry_after_s: seconds after which the same request may succeed; None: no such promise.
        image: which image of the request it is about, {"index", "id"}; None: the whole request.
    """

    status: ClassVar[int]
    kind: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        retry_after_s: int | None = None,
        image: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.image = image

    def about_image(self, index: int, image_id: str | None) -> ServiceError:
        """Return the same refusal, naming the image of the request that caused it."""
        name = f"image {index}" if image_id is None else f"image {index} ({quoted(image_id)})"
        return type(self)(
            f"{name}: {self.detail}",
            retry_after_s=self.retry_after_s,
            image={"index": index, "id": image_id},
        )


class MalformedError(ServiceError):
    """The body cannot be read as the media type it claims."""

    status, kind, title = 400, "malformed-body", "Malformed body"


class NotAnImageError(ServiceError):
    """The bytes are no image, or the image is cut off."""

    status, kind, title = 400, "not-an-image", "Not a readable image"


class CrashedDecoderError(ServiceError):
    """An image over which a decoder crashed: a damaged one, and a fault of the decoder."""

    status, kind, title = 400, "crashed-decoder", "Not a readable image"


class UrlFetchError(ServiceError):
    """Nothing is to be had at the URL of an image, or not in time."""

    status, kind, title = 400, "url-not-fetched", "URL not fetched"


class KeyRequiredError(ServiceError):
    """The operator asks for an API key; none came, or one that is not known."""

    status, kind, title = 401, "key-required", "API key required"


class FeatureOffError(ServiceError):
    """The operator has that feature switched off."""

    status, kind, title = 403, "feature-off", "Feature switched off"


class ForbiddenUrlError(ServiceError):
    """The URL of an image leads where the server must not go."""

    status, kind, title = 403, "forbidden-url", "URL not allowed"


class NoSuchRouteError(ServiceError):
    """Nothing lives at that path."""

    status, kind, title = 404, "no-such-route", "No such route"


class NoSuchModelError(ServiceError):
    """No loaded model has that name."""

    status, kind, title = 404, "no-such-model", "No such model"


class WrongMethodError(ServiceError):
    """The path exists, for another method."""

    status, kind, title = 405, "wrong-method", "Wrong method"


class ReloadError(ServiceError):
    """The weights or keys that should replace the old ones cannot be had."""

    status, kind, title = 409, "reload-failed", "Reload failed"


class TooLargeError(ServiceError):
    """More bytes, pixels or images than the server takes."""

    status, kind, title = 413, "too-large", "Too large"


class CostlyImageError(ServiceError):
    """An image that takes more time to decode than any picture of its size needs."""

    status, kind, title = 413, "costly-image", "Too costly to decode"


class UnsupportedMediaError(ServiceError):
    """A media type, an encoding or an image format that the server does not read."""

    status, kind, title = 415, "unsupported-media", "Unsupported media type"


class OptionError(ServiceError):
    """An option or member that is unknown, out of range or contradictory."""

    status, kind, title = 422, "bad-option", "Unusable option"


class PoisonError(ServiceError):
    """An image under which workers died, more than once."""

    status, kind, title = 422, "poisonous-image", "Image refused"


class QueueFullError(ServiceError):
    """Too many images are waiting already."""

    status, kind, title = 429, "queue-full", "Queue full"


class ClientGoneError(ServiceError):
    """The client closed the connection before it was answered."""

    status, kind, title = 499, "client-gone", "Client gone"


class UnavailableError(ServiceError):
    """The server is loading, draining, or stopped while the request was waiting."""

    status, kind, title = 503, "unavailable", "Unavailable"


class DeadlineError(ServiceError):
    """The time allowed for the request has passed."""

    status, kind, title = 504, "deadline", "Deadline passed"


class InternalError(ServiceError):
    """What a client is told of a defect of ours."""

    status, kind, title = 500, "internal", "Internal error"


KINDS: tuple[type[ServiceError], ...] = (
    MalformedError,
    NotAnImageError,
    CrashedDecoderError,
    UrlFetchError,
    KeyRequiredError,
    FeatureOffError,
    ForbiddenUrlError,
    NoSuchRouteError,
    NoSuchModelError,
    WrongMethodError,
    ReloadError,
    TooLargeError,
    CostlyImageError,
    UnsupportedMediaError,
    OptionError,
    PoisonError,
    QueueFullError,
    InternalError,
    UnavailableError,
    DeadlineError,
)


def by_kind(kind: str) -> type[ServiceError]:
    """Return the class of a refusal; InternalError for a kind that there is not."""
    return next((error for error in KINDS if error.kind == kind), InternalError)


def problem(error: ServiceError, request_id: str) -> bytes:
    """Return the RFC 9457 body of an error, as UTF-8 JSON."""
    members: dict[str, Any] = {
        "type": f"urn:blendmask:error:{error.kind}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if error.image is not None:
        members["image"] = error.image
    return json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")


def headers(error: ServiceError) -> dict[str, str]:
    """Return the header fields that go with an error."""
    fields = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, KeyRequiredError):
        fields["WWW-Authenticate"] = "Bearer"
    return fields
