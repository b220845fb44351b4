"""The socket that the server listens on, and room for the connections that come by it."""

from __future__ import annotations

import resource
import socket

# Files besides connections: logs, pipes and sockets to workers, what libraries hold open.
_OTHER_FILES = 256


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens. Raises OSError if that cannot be."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of what listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_room(max_connections: int) -> None:
    """Let this process open as many files as that many connections take, twice over.

    Twice, as connections in excess are open, too, until they have been told so.

    Raises:
        ValueError: the system does not let it.
    """
    needed = 2 * max_connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return
    if hard != unlimited and hard < needed:
        raise ValueError(
            f"max_connections is {max_connections}, for which the server must be allowed {needed} "
            f"open files, and the limit is {hard}; raise it (ulimit -Hn) or take at most "
            f"{max(0, hard - _OTHER_FILES) // 2} connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
