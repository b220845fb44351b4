"""Where pictures may be fetched from: the shape of a URL, its host, and the address it has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from service.configuration.hosts import plain_host
from service.errors import ForbiddenUrlError, OptionError
from service.wording import quoted

_MAX_LENGTH = 8192
_DEFAULT_PORTS = {"https": 443, "http": 80}
_UNSEEMLY = re.compile(r"[\x00-\x20\x7f\\]")
# What stays as it is in a path or query: what is encoded already, and what may stand there.
_SAFE = "/?%:@!$&'()*+,;=~-._"

# All of IPv6 that is handed out, less what stands for something else: documentation, Teredo and
# other protocols of IANA, and 6to4, which leads to any IPv4 address. IPv4-mapped addresses and
# NAT64 lie outside of it.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
# Public by their number, but answered by the cloud that the server runs in.
_CLOUDS_OWN = frozenset({ipaddress.IPv4Address("168.63.129.16")})


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


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to somebody on the internet, and not to this network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # also an IPv6 address with a zone
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed in _GLOBAL_IPV6 and not any(parsed in net for net in _NOT_PUBLIC_IPV6)
    return (
        parsed.is_global
        and not parsed.is_multicast
        and not parsed.is_reserved
        and parsed not in _CLOUDS_OWN
    )


def _covers(pattern: str, host: str) -> bool:
    pattern = pattern.lower().removesuffix(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
