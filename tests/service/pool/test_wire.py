from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from service.pool.wire import Frame, FrameProtocol, FrameSocket, encode_frame


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def read_all(*parts: bytes) -> list[Frame]:
    """What the event loop's side hears of bytes that come in so many parts, until their end."""

    async def run() -> list[Frame]:
        frames: list[Frame] = []
        ours, theirs = socket.socketpair()
        with theirs:
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: FrameProtocol(frames.append), sock=ours
            )
            for part in parts:
                theirs.sendall(part)
                await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            await protocol.ended
        return frames

    return asyncio.run(run())


def test_a_frame_is_two_lengths_a_json_header_and_the_body() -> None:
    assert encode_frame({"kind": "a"}, b"xyz") == b"\0\0\0\x0c\0\0\0\x03" + b'{"kind":"a"}xyz'


def test_frames_come_back_in_order_with_their_bodies() -> None:
    data = encode_frame({"kind": "a", "n": [1, None]}, b"\0\xff") + encode_frame({"kind": "b"})
    assert read_all(data) == [Frame({"kind": "a", "n": [1, None]}, b"\0\xff"), Frame({"kind": "b"})]


def test_half_a_surrogate_pair_travels() -> None:
    assert read_all(encode_frame({"kind": "a", "id": "\ud800ü"}))[0].header["id"] == "\ud800ü"


def test_frames_may_come_in_any_parts() -> None:
    frames = [Frame({"kind": "a"}, b"xyz"), Frame({"kind": "b"}), Frame({"kind": "c"}, b"12")]
    data = b"".join(encode_frame(frame.header, frame.body) for frame in frames)
    for size in (1, 7, 40):
        assert read_all(*(data[i : i + size] for i in range(0, len(data), size))) == frames


def test_whom_a_frame_woke_has_a_turn_before_the_next() -> None:
    async def run() -> list[str]:
        told: list[str] = []
        ours, theirs = socket.socketpair()

        def on_frame(frame: Frame) -> None:
            told.append(frame.kind)
            asyncio.get_running_loop().call_soon(told.append, f"woken by {frame.kind}")

        with theirs:
            theirs.sendall(encode_frame({"kind": "a"}) + encode_frame({"kind": "b"}))
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: FrameProtocol(on_frame), sock=ours
            )
        async with asyncio.timeout(10):
            await protocol.ended
        return told

    assert asyncio.run(run()) == ["a", "woken by a", "b", "woken by b"]


def test_what_a_listener_raises_ends_the_connection() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()

        def on_frame(frame: Frame) -> None:
            raise KeyError(frame.kind)

        with theirs:
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: FrameProtocol(on_frame), sock=ours
            )
            theirs.sendall(encode_frame({"kind": "a"}))
            with pytest.raises(KeyError, match="a"):
                await protocol.ended
            await asyncio.sleep(0.01)
            assert theirs.recv(1) == b""

    asyncio.run(run())


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
