"""What a body is that was sent as an image and is none: a hint for who sent it."""

from __future__ import annotations

import re

_SHOWN = 256
_FORM = re.compile(rb"\s*--[^\r\n]+\r?\nContent-", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\r\n-]+={0,2}\s*")
# The least that is worth a guess.
_LEAST_BASE64 = 40


def hint(data: bytes) -> str | None:
    """Return what the bytes look like and how to send that; None where nobody can say."""
    start = data[:_SHOWN]
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "it looks like JSON; send that with Content-Type: application/json"
    if text[:5].lower() == b"data:":
        return "it is a data: URI; send the bytes of the file, or the URI in JSON"
    if _FORM.match(start):
        return "it looks like a form; leave its Content-Type, with the boundary, to the client"
    if len(data) >= _LEAST_BASE64 and _BASE64.fullmatch(start):
        return "it looks like base64; send the bytes of the file, or the text in JSON"
    return None
