from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from service.errors import ClientGoneError
from service.http.connections.while_connected import while_connected

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


def channel(*, leaves_after: float = 60.0, fails: bool = False) -> Receive:
    """A request's channel: its client leaves after so many seconds."""

    async def receive() -> Message:
        await asyncio.sleep(leaves_after)
        if fails:
            raise OSError("cut")
        return {"type": "http.disconnect"}

    return receive


async def work(seconds: float, ends: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ends.append("cancelled")
        raise
    return "done"


def test_result_of_the_work_is_returned_and_the_channel_let_go() -> None:
    async def run() -> None:
        assert await while_connected(channel(), work(0.01, [])) == "done"
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("fails", [False, True])
def test_work_is_cancelled_when_the_client_leaves(fails: bool) -> None:
    async def run() -> None:
        ends: list[str] = []
        with pytest.raises(ClientGoneError):
            await while_connected(channel(leaves_after=0.01, fails=fails), work(60, ends))
        assert ends == ["cancelled"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())


def test_failure_of_the_work_is_raised() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("mine")

    async def run() -> None:
        with pytest.raises(KeyError):
            await while_connected(channel(), fail())

    asyncio.run(run())


def test_work_that_turns_its_cancelling_into_an_error_leaves_none_behind() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise KeyError("mine") from None

    async def run() -> None:
        with pytest.raises(KeyError):
            await while_connected(channel(leaves_after=0.01), stubborn())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())


def test_timeout_around_it_stays_a_timeout() -> None:
    async def run() -> None:
        ends: list[str] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await while_connected(channel(), work(60, ends))
        assert ends == ["cancelled"]

    asyncio.run(run())


def test_cancelling_from_outside_stays_one_even_as_the_client_leaves() -> None:
    async def run() -> None:
        ends: list[str] = []
        waiting, gone = asyncio.Event(), asyncio.Event()

        async def receive() -> Message:
            waiting.set()
            await gone.wait()
            return {"type": "http.disconnect"}

        caller = asyncio.create_task(while_connected(receive, work(60, ends)))
        await waiting.wait()
        gone.set()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert ends == ["cancelled"]

    asyncio.run(run())
