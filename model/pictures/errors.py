"""What is wrong with the bytes of a picture."""

from __future__ import annotations


class ImageError(ValueError):
    """The bytes are not a picture that can be read: no picture at all, truncated or damaged."""


class UnsupportedImageError(ImageError):
    """The bytes are a picture or document in a form that is not decoded here."""


class ImageTooLargeError(ImageError):
    """The picture has more pixels than the caller allows."""


class ImageTooCostlyError(ImageError):
    """Decoding the picture took more time than any picture needs, and was cut off."""


class DecoderCrashError(ImageError):
    """The decoder crashed over the picture: it is damaged, and the decoder has a fault."""
