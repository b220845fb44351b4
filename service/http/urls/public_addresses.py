"""Which IP addresses belong to somebody on the internet, and not to the server's own network.

Python's `is_global` is not asked: what it says has changed with Python's versions. These lists
follow IANA's registries of special-purpose addresses, for IPv4 and for IPv6, and are stricter:
what they call global but answers from wherever is nearest (anycast relays) may be our own network.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers; Alibaba's metadata, 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own, in every network there
        "169.254.0.0/16",  # link-local; the metadata of most clouds, 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata, 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112, the nearest sink of reverse lookups
        "192.52.193.0/24",  # AMT, the nearest multicast relay
        "192.88.99.0/24",  # 6to4, the nearest relay
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
# All of IPv6 that is handed out. Loopback, IPv4-mapped and link-local addresses, NAT64 (64:ff9b::),
# SRv6 (5f00::), private ones (fc00::) and multicast lie outside of it.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocols: Teredo, benchmarks, AMT, ORCHID (2001:10::, 2001:20::), …
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which leads to any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to somebody on the internet, and not to this network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        return (
            parsed.scope_id is None  # a zone names one of our own interfaces
            and parsed in _GLOBAL_IPV6
            and not any(parsed in network for network in _NOT_PUBLIC_IPV6)
        )
    return not any(parsed in network for network in _NOT_PUBLIC_IPV4)
