from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from service_fakes import until

from service.pool.messages import Canary, Drop, Fatal, Stop
from service.pool.wire import Frame, FrameProtocol, FrameSocket, encode_frame


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def read_all(*parts: bytes) -> list[Frame]:
    """What the event loop's side hears of bytes that come in so many parts, until their end."""

    class Counting(FrameProtocol):
        num_bytes = 0

        def data_received(self, data: bytes) -> None:
            self.num_bytes += len(data)
            super().data_received(data)

    async def run() -> list[Frame]:
        frames: list[Frame] = []
        ours, theirs = socket.socketpair()
        with theirs:
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: Counting(frames.append), sock=ours
            )
            num_sent = 0
            for part in parts:
                theirs.sendall(part)
                num_sent += len(part)
                await until(lambda: protocol.num_bytes == num_sent)  # noqa: B023
        async with asyncio.timeout(10):
            await protocol.ended
        return frames

    return asyncio.run(run())


def frame_of(header: bytes) -> bytes:
    return struct.pack(">II", len(header), 0) + header


def test_a_frame_is_two_lengths_a_json_header_and_the_body() -> None:
    header = b'{"kind":"stop"}'
    assert encode_frame(Stop(), b"xyz") == b"\0\0\0\x0f\0\0\0\x03" + header + b"xyz"


def test_frames_come_back_in_order_with_their_bodies() -> None:
    data = encode_frame(Drop(item=7), b"\0\xff") + encode_frame(Stop())
    assert read_all(data) == [Frame(Drop(item=7), b"\0\xff"), Frame(Stop())]


def test_half_a_surrogate_pair_travels() -> None:
    assert read_all(encode_frame(Fatal(text="\ud800ü"))) == [Frame(Fatal(text="\ud800ü"))]


def test_frames_may_come_in_any_parts() -> None:
    frames = [Frame(Stop(), b"xyz"), Frame(Canary()), Frame(Drop(item=7), b"12")]
    data = b"".join(encode_frame(frame.message, frame.body) for frame in frames)
    for size in (1, 7, 40):
        assert read_all(*(data[i : i + size] for i in range(0, len(data), size))) == frames


def test_whom_a_frame_woke_has_a_turn_before_the_next() -> None:
    async def run() -> list[str]:
        told: list[str] = []
        ours, theirs = socket.socketpair()

        def on_frame(frame: Frame) -> None:
            assert isinstance(frame.message, Fatal)
            told.append(frame.message.text)
            asyncio.get_running_loop().call_soon(told.append, f"woken by {frame.message.text}")

        with theirs:
            theirs.sendall(encode_frame(Fatal(text="a")) + encode_frame(Fatal(text="b")))
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
            raise KeyError(frame.message)

        with theirs:
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: FrameProtocol(on_frame), sock=ours
            )
            theirs.sendall(encode_frame(Stop()))
            with pytest.raises(KeyError, match="Stop"):
                await protocol.ended
            assert await asyncio.to_thread(theirs.recv, 1) == b""

    asyncio.run(run())


@pytest.mark.parametrize("kept", range(len(encode_frame(Stop(), b"xyz"))))
def test_a_stream_that_ends_inside_a_frame_ends(kept: int) -> None:
    assert read_all(encode_frame(Stop(), b"xyz")[:kept]) == []


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 2**24 + 1, 0),
        struct.pack(">II", 12, 2**30 + 1),
        struct.pack(">II", 4, 0) + b"nope",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{}",
        frame_of(b'{"kind":"nobody"}'),
        frame_of(b'{"kind":"drop"}'),
        frame_of(b'{"kind":"drop","item":"7"}'),
        frame_of(b'{"kind":"drop","item":7,"more":1}'),
        frame_of(b'{"kind":"fatal","text":"\\ud800","more":1}'),
    ],
)
def test_bytes_that_are_no_frame_are_an_error_on_either_side(
    data: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(ValueError, match="frame"):
        read_all(data)
    pair[0].sendall(data)
    with pytest.raises(ValueError, match="frame"):
        FrameSocket(pair[1]).receive()


def test_a_frame_that_no_reader_takes_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode_frame(Fatal(text="x" * 2**24))


def test_blocking_side_receives_what_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(encode_frame(Stop(), b"xyz") + encode_frame(Canary()))
    receiver = FrameSocket(pair[1])
    assert receiver.receive() == Frame(Stop(), b"xyz")
    assert receiver.receive() == Frame(Canary())


def test_blocking_side_sees_the_end_also_inside_a_frame(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall(encode_frame(Stop(), b"xyz")[:-1])
    pair[0].close()
    assert FrameSocket(pair[1]).receive() is None


def test_frames_of_many_threads_do_not_mix(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = FrameSocket(pair[0]), FrameSocket(pair[1])

    def send(number: int) -> None:
        for _ in range(20):
            sender.send(Drop(item=number), bytes([number]) * 50_000)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    frames = [receiver.receive() for _ in range(80)]
    for thread in threads:
        thread.join()
    for frame in frames:
        assert frame is not None
        assert isinstance(frame.message, Drop)
        assert frame.body == bytes([frame.message.item]) * 50_000


def test_sending_to_nobody_is_a_connection_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].close()
    with pytest.raises(ConnectionError):
        FrameSocket(pair[0]).send(Stop())
