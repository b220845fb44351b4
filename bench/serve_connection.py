"""Connections of the load generator: bytes out, a status and a body in, and nothing else."""

from __future__ import annotations

import asyncio
import socket


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_open = False
        self._received = bytearray()
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self._body_start = -1
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(len(self._received)))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._body_start < 0:
            self._read_head()
        if self._body_start >= 0 and len(self._received) >= self._body_start + self._body_bytes:
            self._settle()

    def ask(self, *parts: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; the status and the body will come."""
        assert self.transport is not None
        self._received.clear()
        self._body_start = -1
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.writelines(parts)
        return self._waiter

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _read_head(self) -> None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        self._body_bytes = _body_bytes(head)
        self._body_start = end + 4

    def _settle(self) -> None:
        code = int(self._received[9:12])
        if b"\r\nconnection: close" in bytes(self._received[: self._body_start]).lower():
            self.is_open = False
        if self._waiter is not None and not self._waiter.done():
            body = bytes(self._received[self._body_start : self._body_start + self._body_bytes])
            self._waiter.set_result((code, body))


def ask_and_wait(connection: socket.socket, request: bytes) -> int:
    """Send a request, wait for the whole answer, and return its status.

    A client of its own for one request after the other: an event loop would add its turns.
    """
    connection.sendall(request)
    received, total = bytearray(), -1
    while total < 0 or len(received) < total:
        data = connection.recv(2**20)
        if not data:
            raise ConnectionError("the server closed the connection before its answer's end")
        received += data
        if total < 0 and (end := received.find(b"\r\n\r\n")) >= 0:
            total = end + 4 + _body_bytes(bytes(received[:end]).lower())
    return int(received[9:12])


def _body_bytes(head: bytes) -> int:
    """Return the length that an answer's head, in lower case, tells of its body."""
    length = head.find(b"\r\ncontent-length:")
    assert length >= 0, f"an answer without a length: {head!r}"
    return int(head[length + 17 :].partition(b"\r\n")[0])
