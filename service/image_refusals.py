"""What reading an image may raise, as what the client is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from model.pictures.errors import (
    DecoderCrashError,
    ImageError,
    ImageTooCostlyError,
    ImageTooLargeError,
    UnsupportedImageError,
)
from service.errors import (
    CostlyImageError,
    CrashedDecoderError,
    NotAnImageError,
    TooLargeError,
    UnsupportedMediaError,
)


@contextmanager
def image_refusals() -> Iterator[None]:
    """Turn what reading an image may raise into what the client is told."""
    try:
        yield
    except ImageTooLargeError as error:
        raise TooLargeError(str(error)) from None
    except ImageTooCostlyError as error:
        raise CostlyImageError(str(error)) from None
    except UnsupportedImageError as error:
        raise UnsupportedMediaError(str(error)) from None
    except DecoderCrashError as error:
        raise CrashedDecoderError(str(error)) from None
    except ImageError as error:
        raise NotAnImageError(str(error)) from None
