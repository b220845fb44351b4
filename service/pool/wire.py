"""The frames that the server and its worker processes exchange over a local stream socket.

    frame = header length (u32, big endian), body length (u32, big endian), header, body

The header is a message (`messages.py`) as JSON; the body is raw bytes. Nothing is ever unpickled.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from service.pool.messages import Message, from_json, to_json

MAX_HEADER_BYTES = 16 * 2**20
MAX_BODY_BYTES = 2**30
_COPIED_BYTES = 2**18
_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True)
class Frame:
    """One message, and what it carries."""

    message: Message
    body: bytes = b""


def encode_frame(message: Message, body: bytes = b"") -> bytes:
    """Return a frame's bytes. ValueError if it is larger than a reader takes."""
    return _encode_head(message, len(body)) + body


class FrameProtocol(asyncio.Protocol):
    """The side of an event loop.

    A protocol rather than a stream reader: a frame is heard in the very callback that its last
    bytes come in, not some turns of the loop later.

    Args:
        on_frame: hears each frame. Before it hears the next, whoever it woke has had a turn.
    """

    def __init__(self, on_frame: Callable[[Frame], None]) -> None:
        self._on_frame = on_frame
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._has_turn = False  # a frame is to be heard later in this loop
        self._is_over = False
        # Set when nothing comes any more; its exception is that of `on_frame`, or a ValueError
        # where the bytes were no frame.
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in more bytes."""
        self._received += data
        if not self._has_turn:
            self._hear()

    def connection_lost(self, exc: Exception | None) -> None:
        """End once the whole frames that came are heard."""
        self._is_over = True
        if not self._has_turn:
            self._end(None)

    def send(self, message: Message) -> None:
        """Send a frame; one that nobody reads is lost in silence."""
        assert self._transport is not None
        self._transport.write(encode_frame(message))

    def close(self) -> None:
        """Hear nothing any more."""
        self._end(None)
        if self._transport is not None:
            self._transport.close()

    def _hear(self) -> None:
        """Hear the first frame that has come, and the next one at the loop's next turn."""
        self._has_turn = False
        if self.ended.done():
            return
        try:
            frame = self._take()
            if frame is not None:
                self._on_frame(frame)
        except Exception as error:
            self._end(error)
            self.close()
            return
        if frame is not None and self._received:
            self._has_turn = True
            self._loop.call_soon(self._hear)
        elif self._is_over:
            self._end(None)

    def _take(self) -> Frame | None:
        if len(self._received) < _LENGTHS.size:
            return None
        header_bytes, body_bytes = _read_lengths(self._received[: _LENGTHS.size])
        body_start = _LENGTHS.size + header_bytes
        end = body_start + body_bytes
        if len(self._received) < end:
            return None
        message = from_json(self._received[_LENGTHS.size : body_start])
        frame = Frame(message, bytes(self._received[body_start:end]))
        del self._received[:end]
        return frame

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


class FrameSocket:
    """The blocking side: any thread may send, one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()

    def send(self, message: Message, body: bytes = b"") -> None:
        """Send one frame whole. ConnectionError if nobody reads any more."""
        head = _encode_head(message, len(body))
        with self._sending:
            if len(body) <= _COPIED_BYTES:  # one system call, and the reader is woken once
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._socket.sendall(body)

    def receive(self) -> Frame | None:
        """Return the next frame; None at the end of the stream, also in the middle of a frame.

        Raises:
            ValueError: the bytes are no frame; the stream cannot be read any further.
        """
        lengths = self._receive_exactly(_LENGTHS.size)
        if lengths is None:
            return None
        header_bytes, body_bytes = _read_lengths(lengths)
        header = self._receive_exactly(header_bytes)
        body = self._receive_exactly(body_bytes)
        if header is None or body is None:
            return None
        return Frame(from_json(header), body)

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


def _encode_head(message: Message, body_bytes: int) -> bytes:
    text = to_json(message)
    _check_lengths(len(text), body_bytes)
    return _LENGTHS.pack(len(text), body_bytes) + text


def _read_lengths(lengths: bytes | bytearray) -> tuple[int, int]:
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    _check_lengths(header_bytes, body_bytes)
    return header_bytes, body_bytes


def _check_lengths(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise ValueError(
            f"a frame of {header_bytes} + {body_bytes} bytes; at most "
            f"{MAX_HEADER_BYTES} + {MAX_BODY_BYTES} are allowed"
        )
