"""Host names and origins: the one form in which they are compared, and lists of them."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ALL_BELOW = "*."
_DEFAULT_PORTS = {"https": 443, "http": 80}


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


def plain_origin(origin: str) -> str:
    """Return an origin as browsers write it, or "*".

    Raises:
        ValueError: it is none; says what would be right.
    """
    if origin == "*":
        return origin
    try:
        parts = urlsplit(origin)
        if parts.scheme not in _DEFAULT_PORTS or parts.path not in ("", "/"):
            raise ValueError("not an origin")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("not an origin")
        host = plain_host(parts.hostname or "")
        port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    except ValueError:
        raise ValueError(
            f"{origin!r} is no origin; write scheme, host and maybe port alone, as in "
            f"https://{_host_in(origin)}"
        ) from None
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _host_in(text: str) -> str:
    """Return the host of what looks like a URL; an example if there is none in it."""
    with suppress(ValueError):
        parts = urlsplit(text if "//" in text else f"//{text}")
        _ = parts.port  # raises for what is no port, as behind an IPv6 address without brackets
        host = parts.hostname or ""
        plain = plain_host(host.removeprefix(_ALL_BELOW))
        return f"{_ALL_BELOW if host.startswith(_ALL_BELOW) else ''}{plain}"
    return "example.org"
