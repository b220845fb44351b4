"""Where pictures may be fetched from, by the shape of a URL and its host."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from service.configuration.hosts import plain_host
from service.errors import ForbiddenUrlError, OptionError
from service.wording import quoted

_MAX_LENGTH = 8192
_DEFAULT_PORTS = {"https": 443, "http": 80}
_UNSEEMLY = re.compile(r"[\x00-\x20\x7f\\]")
# What stays as it is in a path or query: what is encoded already, and what may stand there.
_SAFE = "/?%:@!$&'()*+,;=~-._"
_VISIBLE_ASCII = bytes(range(0x21, 0x7F))


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a URL leads, before any name is resolved. path: with its query, percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host field says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str, *, allow_http: bool, hosts: Collection[str]) -> Target:
    """Return where a URL leads.

    Args:
        hosts: the only ones allowed; "*.example.org" stands for all below it. Empty: any.
    Raises:
        OptionError: it is no URL of the web, or holds a user name.
        ForbiddenUrlError: its scheme or host is not allowed.
    """
    if len(url) > _MAX_LENGTH or _UNSEEMLY.search(url):
        raise OptionError(
            f"its URL {quoted(url)} has spaces, control characters or backslashes in it, or more "
            f"than {_MAX_LENGTH} characters; encode them, or send the bytes instead"
        )
    try:
        parts = urlsplit(url)
        port, host = parts.port, plain_host(parts.hostname or "")
    except ValueError:
        raise OptionError(f"its URL {quoted(url)} cannot be read; check host and port") from None
    if parts.scheme not in _DEFAULT_PORTS or port == 0:
        raise OptionError(f"its URL {quoted(url)} must begin with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise OptionError("its URL holds a user name or password; leave them out")
    if parts.scheme == "http" and not allow_http:
        raise ForbiddenUrlError("its URL begins with http://; only https:// is allowed here")
    if hosts and not any(_covers(pattern, host) for pattern in hosts):
        raise ForbiddenUrlError(f"its URL leads to {quoted(host)}, which is not allowed here")
    path = quote(parts.path or "/", safe=_SAFE)
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        path=path + query,
    )


def follow(url: str, location: bytes) -> str:
    """Return the URL that a redirect leads to; `parse_url` has to judge it.

    Read as browsers do: UTF-8, or else bytes to be encoded each; tabs are left out, spaces encoded.

    Args:
        url: the one that was asked.
        location: the redirect's header field, relative to it or not.
    Raises:
        ValueError: there is no sense in it.
    """
    try:
        text = location.decode("utf-8")
    except UnicodeDecodeError:
        text = quote(location, safe=_VISIBLE_ASCII)
    return urljoin(url, text.replace("\t", "").strip(" ").replace(" ", "%20"))


def _covers(pattern: str, host: str) -> bool:
    pattern = pattern.lower().removesuffix(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
