from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from service.pool.wire import Frame, FrameSocket, encode_frame, read_frame


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def read_all(data: bytes) -> list[Frame]:
    async def run() -> list[Frame]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        frames = []
        while (frame := await read_frame(reader)) is not None:
            frames.append(frame)
        return frames

    return asyncio.run(run())


def test_a_frame_is_two_lengths_a_json_header_and_the_body() -> None:
    assert encode_frame({"kind": "a"}, b"xyz") == b"\0\0\0\x0c\0\0\0\x03" + b'{"kind":"a"}xyz'


def test_frames_come_back_in_order_with_their_bodies() -> None:
    data = encode_frame({"kind": "a", "n": [1, None]}, b"\0\xff") + encode_frame({"kind": "b"})
    assert read_all(data) == [Frame({"kind": "a", "n": [1, None]}, b"\0\xff"), Frame({"kind": "b"})]


def test_half_a_surrogate_pair_travels() -> None:
    assert read_all(encode_frame({"kind": "a", "id": "\ud800ü"}))[0].header["id"] == "\ud800ü"


@pytest.mark.parametrize("kept", range(len(encode_frame({"kind": "a"}, b"xyz"))))
def test_a_stream_that_ends_inside_a_frame_ends(kept: int) -> None:
    assert read_all(encode_frame({"kind": "a"}, b"xyz")[:kept]) == []


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 2**24 + 1, 0),
        struct.pack(">II", 12, 2**30 + 1),
        struct.pack(">II", 4, 0) + b"nope",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{}",
    ],
)
def test_bytes_that_are_no_frame_are_an_error_on_either_side(
    data: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(ValueError, match=r"frame|Expecting"):
        read_all(data)
    pair[0].sendall(data)
    with pytest.raises(ValueError, match=r"frame|Expecting"):
        FrameSocket(pair[1]).receive()


def test_a_frame_that_no_reader_takes_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode_frame({"kind": "a", "text": "x" * 2**24})


def test_blocking_side_receives_what_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(encode_frame({"kind": "a"}, b"xyz") + encode_frame({"kind": "b"}))
    receiver = FrameSocket(pair[1])
    assert receiver.receive() == Frame({"kind": "a"}, b"xyz")
    assert receiver.receive() == Frame({"kind": "b"})


def test_blocking_side_sees_the_end_also_inside_a_frame(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall(encode_frame({"kind": "a"}, b"xyz")[:-1])
    pair[0].close()
    assert FrameSocket(pair[1]).receive() is None


def test_frames_of_many_threads_do_not_mix(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = FrameSocket(pair[0]), FrameSocket(pair[1])

    def send(number: int) -> None:
        for _ in range(20):
            sender.send({"kind": "a", "number": number}, bytes([number]) * 50_000)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    frames = [receiver.receive() for _ in range(80)]
    for thread in threads:
        thread.join()
    for frame in frames:
        assert frame is not None
        assert frame.body == bytes([frame.header["number"]]) * 50_000


def test_sending_to_nobody_is_a_connection_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].close()
    with pytest.raises(ConnectionError):
        FrameSocket(pair[0]).send({"kind": "a"})
