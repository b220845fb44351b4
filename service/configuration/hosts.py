"""Host names: the one form in which they are compared, and lists of them."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ALL_BELOW = "*."


def plain_host(host: str) -> str:
    """Return the host in lower case, as ASCII, without a final dot. ValueError if it is none."""
    if ":" in host and "%" not in host:  # a zone would name one of our own interfaces
        return str(ipaddress.IPv6Address(host))
    plain = host.encode("idna").decode("ascii").lower().removesuffix(".")
    if not _HOST_NAME.fullmatch(plain):
        raise ValueError("not a host")
    return plain


def plain_pattern(pattern: str) -> str:
    """Return a host, or "*." and one, in the form that `plain_host` has.

    Raises:
        ValueError: it would match no host; says what would be right.
    """
    below = pattern.startswith(_ALL_BELOW)
    with suppress(ValueError):
        host = plain_host(pattern.removeprefix(_ALL_BELOW).strip("[]"))
        if not (below and ":" in host):
            return f"{_ALL_BELOW if below else ''}{host}"
    if pattern == "*":
        raise ValueError(
            "'*' is no host; leave the setting out to allow all, or write *.example.org for all "
            "that are below one"
        )
    raise ValueError(f"{pattern!r} is no host; write {_host_in(pattern)}, without anything else")


def _host_in(text: str) -> str:
    """Return the host of what looks like a URL; an example if there is none in it."""
    with suppress(ValueError):
        parts = urlsplit(text if "//" in text else f"//{text}")
        _ = parts.port  # raises for what is no port, as behind an IPv6 address without brackets
        host = parts.hostname or ""
        plain = plain_host(host.removeprefix(_ALL_BELOW))
        return f"{_ALL_BELOW if host.startswith(_ALL_BELOW) else ''}{plain}"
    return "example.org"
