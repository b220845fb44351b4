"""Splits a multipart/form-data body that is already in memory (RFC 7578).

The body is cut at its boundary in one pass of the bytes type, so no body, however
malicious, costs more than its length.
"""

from __future__ import annotations

from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from service.errors import MalformedError, TooLargeError

MAX_PARTS = 1000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a form; `file_name` None where the sender gave none."""

    name: str
    file_name: str | None
    data: bytes


def split_form(body: bytes, content_type: str) -> list[Part]:
    """Return the parts of a form, in order.

    Args:
        content_type: the header field, with the boundary.
    Raises:
        MalformedError: no boundary is declared, or the body does not keep to it.
        TooLargeError: more than `MAX_PARTS` parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise MalformedError("the multipart Content-Type has no boundary; let the client set it")
    delimiter = b"\r\n--" + boundary
    text = b"\r\n" + body
    if text.count(delimiter) > MAX_PARTS:
        raise TooLargeError(f"the form has more than {MAX_PARTS} parts; send fewer")
    sections = text.split(delimiter)[1:]  # before the first delimiter: a preamble
    if not sections or not sections[-1].startswith(b"--"):
        raise MalformedError("the multipart body does not end with its boundary; it is cut off")
    return [_parse_part(section) for section in sections[:-1]]


def _parse_part(section: bytes) -> Part:
    padding, _, rest = section.partition(b"\r\n")
    head, found, data = rest.partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not found:
        raise MalformedError("a part of the multipart body has no header; check the boundary")
    for line in head.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            return _name_part(value.strip(), data)
    raise MalformedError("a part of the multipart body has no Content-Disposition; name it")


def _name_part(disposition: bytes, data: bytes) -> Part:
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in options:
        raise MalformedError("a part of the multipart body has no name; call it 'image'")
    file_name = options.get(b"filename")
    return Part(
        name=options[b"name"].decode("utf-8", "replace"),
        file_name=None if file_name is None else file_name.decode("utf-8", "replace"),
        data=data,
    )
