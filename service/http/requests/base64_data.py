"""An image as base64 text or data: URI, and what is wrong with one that is neither."""

from __future__ import annotations

import base64
import re

from service.errors import MalformedError

_SCHEME = "data:"
_LINE_BREAKS = re.compile(r"[\r\n]+")
_WEB_SAFE = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_STANDARD = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def decode_base64(text: str) -> bytes:
    """Return the bytes that a text holds. Line breaks are let pass.

    Raises:
        MalformedError: it is no base64; what is nearly that is called by its name.
    """
    encoded = text
    if text[: len(_SCHEME)].lower() == _SCHEME:
        head, comma, encoded = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise MalformedError("its 'data' is a data: URI without base64; send ';base64,' in it")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        joined = _LINE_BREAKS.sub("", encoded)
    try:
        return base64.b64decode(joined, validate=True)
    except ValueError:
        raise MalformedError(_fault(joined)) from None


def _fault(text: str) -> str:
    """Return what to change about a text without line breaks that is no base64."""
    if " " in text:
        # Taken away, it would be another picture: a form decodes each "+" to one.
        return (
            "its 'data' has a space in its base64, where a '+' has perhaps been lost; send JSON, "
            "or escape '+' as %2B"
        )
    if "%" in text:
        return "its 'data' is base64 with percent escapes; send it without them"
    if _STANDARD.fullmatch(text):
        return (
            f"its 'data' is base64 of {len(text)} characters, which is no multiple of 4: its "
            "padding is missing or wrong, or it is cut off; fill it up with '='"
        )
    if _WEB_SAFE.fullmatch(text):
        return (
            "its 'data' is web-safe base64 ('-' and '_'); send the standard alphabet, with '+' "
            "and '/', and with padding"
        )
    return "its 'data' is not valid base64, nor a data: URI with base64"
