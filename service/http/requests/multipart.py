"""Splits a multipart/form-data body that is already in memory (RFC 7578).

The body is searched for its boundary by the bytes type and only the parts' data are copied, so no
body, however malicious, costs more than its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.multipart import parse_options_header

from service.errors import MalformedError, TooLargeError

MAX_PART_HEAD_BYTES = 16 * 2**10

# A quote that nothing closes goes to the end: looked for from every quote in it, the end would
# cost seconds.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# What browsers, Node, httpx and requests write for what would break the line (WHATWG's rule for
# multipart/form-data); a percent sign they leave as it is, so other escapes are the name's own.
_ESCAPED = re.compile(rb"%(?:0A|0D|22)")
# aiohttp escapes all else than these, percent signs too.
_WHOLLY_ESCAPED = re.compile(rb"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*")
# RFC 5987: charset'language'characters, percent-encoded.
_EXTENDED_FILE_NAME = re.compile(
    rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^';\s]*'([^';\s]*)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a form; `file_name` None where the sender gave none."""

    name: str
    file_name: str | None
    data: bytes


def split_form(body: bytes, content_type: str, max_parts: int) -> list[Part]:
    """Return the parts of a form, in order.

    Args:
        content_type: the header field, with the boundary.
        max_parts: counted before any is looked at.
    Raises:
        MalformedError: no boundary is declared, or the body does not keep to it.
        TooLargeError: there are more parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise MalformedError("the multipart Content-Type has no boundary; let the client set it")
    delimiter = b"\r\n--" + boundary
    # The first may do without its line break; before it comes a preamble.
    if body.startswith(delimiter[2:]):
        start = len(delimiter) - 2
    else:
        start = body.find(delimiter) + len(delimiter)
        if start < len(delimiter):
            raise _cut_off()
    num_parts = body.count(delimiter, start)  # the last one opens none
    if num_parts > max_parts:
        raise TooLargeError(f"the form has {num_parts} parts; send at most {max_parts}")
    parts = []
    for _ in range(num_parts):
        end = body.index(delimiter, start)
        parts.append(_parse_part(body, start, end))
        start = end + len(delimiter)
    if not body.startswith(b"--", start):
        raise _cut_off()
    return parts


def _cut_off() -> MalformedError:
    return MalformedError("the multipart body does not end with its boundary; it is cut off")


def _parse_part(body: bytes, start: int, end: int) -> Part:
    first = body.find(b"\r\n", start, end)
    head_end = body.find(b"\r\n\r\n", first, min(end, first + MAX_PART_HEAD_BYTES))
    if first < 0 or head_end <= first or body[start:first].strip(b" \t"):
        raise MalformedError(
            "a part of the multipart body has no header, or one of more than "
            f"{MAX_PART_HEAD_BYTES} bytes; check the boundary"
        )
    is_first = True
    for line in body[first + 2 : head_end].split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            return _name_part(value.strip(), body[head_end + 4 : end], is_first=is_first)
        is_first = False
    raise MalformedError("a part of the multipart body has no Content-Disposition; name it")


def _name_part(disposition: bytes, data: bytes, *, is_first: bool) -> Part:
    """Return the part; `is_first` says whether its disposition is the first field of its head."""
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in options:
        raise MalformedError("a part of the multipart body has no name; call it 'image'")
    file_name = _extended_file_name(disposition)
    if file_name is None and b"filename" in options:
        file_name = _plain_file_name(options[b"filename"], is_first=is_first)
    return Part(name=options[b"name"].decode("utf-8", "replace"), file_name=file_name, data=data)


def _plain_file_name(written: bytes, *, is_first: bool) -> str:
    """Return the name in `filename`, as it was before its sender escaped it."""
    # Of the senders known, aiohttp alone writes other fields before the disposition.
    if not is_first and _WHOLLY_ESCAPED.fullmatch(written):
        name = unquote_to_bytes(written)
    else:
        name = _ESCAPED.sub(lambda found: unquote_to_bytes(found[0]), written)
    return name.decode("utf-8", "replace")


def _extended_file_name(disposition: bytes) -> str | None:
    """Return the name in `filename*`, which RFC 7578 forbids and some clients send all the same.

    It goes before `filename`, where such clients write what older readers understand.
    """
    found = _EXTENDED_FILE_NAME.search(_QUOTED.sub(b'""', disposition))
    if found is None:
        return None
    return unquote_to_bytes(found[2]).decode(found[1].decode("ascii"), "replace")
