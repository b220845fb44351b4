"""The frames that the server and its worker processes exchange over a local stream socket.

    frame = header length (u32, big endian), body length (u32, big endian), header, body

The header is a JSON object with "kind"; the body is raw bytes. Nothing is ever unpickled.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_HEADER_BYTES = 16 * 2**20
MAX_BODY_BYTES = 2**30
_COPIED_BYTES = 2**18
_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True)
class Frame:
    """One message: a JSON object that says its "kind", and what it carries."""

    header: dict[str, Any]
    body: bytes = b""

    @property
    def kind(self) -> str:
        """What the message is."""
        return str(self.header["kind"])


def encode_frame(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a frame's bytes. ValueError if it is larger than a reader takes."""
    return _encode_head(header, len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """Return the next frame; None at the end of the stream, also in the middle of a frame.

    Raises:
        ValueError: the bytes are no frame; the stream cannot be read any further.
    """
    try:
        header_bytes, body_bytes = _read_lengths(await reader.readexactly(_LENGTHS.size))
        header = _parse(await reader.readexactly(header_bytes))
        return Frame(header, await reader.readexactly(body_bytes))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class FrameSocket:
    """The blocking side: any thread may send, one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send one frame whole. ConnectionError if nobody reads any more."""
        head = _encode_head(header, len(body))
        with self._sending:
            if len(body) <= _COPIED_BYTES:  # one system call, and the reader is woken once
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._socket.sendall(body)

    def receive(self) -> Frame | None:
        """Return the next frame; None at the end of the stream. ValueError as `read_frame`."""
        lengths = self._receive_exactly(_LENGTHS.size)
        if lengths is None:
            return None
        header_bytes, body_bytes = _read_lengths(lengths)
        header = self._receive_exactly(header_bytes)
        body = self._receive_exactly(body_bytes)
        if header is None or body is None:
            return None
        return Frame(_parse(header), body)

    def _receive_exactly(self, num_bytes: int) -> bytes | None:
        buffer = bytearray(num_bytes)
        rest = memoryview(buffer)
        while rest:
            try:
                received = self._socket.recv_into(rest)
            except ConnectionError:
                return None
            if received == 0:
                return None
            rest = rest[received:]
        return bytes(buffer)


def _encode_head(header: Mapping[str, Any], body_bytes: int) -> bytes:
    # Escaped to ASCII: half of a surrogate pair in somebody's text travels unharmed.
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("ascii")
    _check_lengths(len(text), body_bytes)
    return _LENGTHS.pack(len(text), body_bytes) + text


def _read_lengths(lengths: bytes) -> tuple[int, int]:
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    _check_lengths(header_bytes, body_bytes)
    return header_bytes, body_bytes


def _check_lengths(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise ValueError(
            f"a frame of {header_bytes} + {body_bytes} bytes; at most "
            f"{MAX_HEADER_BYTES} + {MAX_BODY_BYTES} are allowed"
        )


def _parse(text: bytes) -> dict[str, Any]:
    header = json.loads(text)
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise ValueError("a frame's header must be a JSON object with a kind")
    return header
