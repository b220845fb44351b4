"""Keeps work tied to the client that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from service.errors import ClientGoneError

T = TypeVar("T")


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """Return what the work returns; cancel it when the client leaves or the caller is cancelled.

    The caller's own task does the work, since each change of task makes the client wait.

    Args:
        receive: the request's channel, its body already read.
    Raises:
        ClientGoneError: the client left first.
    """
    task = asyncio.current_task()
    assert task is not None
    num_cancellations = task.cancelling()
    has_left = False

    def interrupt(leaving: asyncio.Task[None]) -> None:
        nonlocal has_left
        if not leaving.cancelled():
            leaving.exception()  # a channel that fails has nobody at its end either
            has_left = True
            task.cancel()

    leaving = asyncio.create_task(_disconnected(receive))
    leaving.add_done_callback(interrupt)
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and task.cancelling() - 1 <= num_cancellations:
            raise ClientGoneError("the client left before it was answered") from None
        raise
    finally:
        leaving.remove_done_callback(interrupt)
        leaving.cancel()
        if has_left:
            task.uncancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
