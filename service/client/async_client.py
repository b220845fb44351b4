"""The client for asyncio. It differs from the other in nothing but how it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

import httpx

from service.client.pictures import several
from service.client.questions import (
    DEADLINE_S,
    LIST_MODELS,
    NUM_AT_ONCE,
    READY,
    Kept,
    PanopticOptions,
    PictureType,
    Question,
    SegmentOptions,
    Task,
    ask,
    ask_cutout,
    ask_drawing,
    http_arguments,
)
from service.client.results import (
    PanopticResult,
    SegmentResult,
    read_models,
    read_panoptic,
    read_segment,
)
from service.client.tries import BROKEN, Tries

if TYPE_CHECKING:
    from service.client.pictures import Picture

_Result = TypeVar("_Result")


class AsyncClient:
    """Does as `Client` does, for asyncio. Use it in an `async with` statement, in one loop."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        deadline_s: float = DEADLINE_S,
        num_at_once: int = NUM_AT_ONCE,
        **http: Any,
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Client`."""
        self._deadline_s = deadline_s
        self._num_at_once = num_at_once
        self._http = httpx.AsyncClient(**http_arguments(url, api_key, http))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @overload
    async def segment(  # type: ignore[overload-overlap]
        self, pictures: Picture, **options: Unpack[SegmentOptions]
    ) -> SegmentResult: ...

    @overload
    async def segment(
        self, pictures: Iterable[Picture], **options: Unpack[SegmentOptions]
    ) -> list[SegmentResult]: ...

    async def segment(
        self, pictures: Picture | Iterable[Picture], **options: Unpack[SegmentOptions]
    ) -> SegmentResult | list[SegmentResult]:
        """Return the instances of a picture, or of each of several; see `Client.segment`."""

        async def answer(one: Picture) -> SegmentResult:
            return read_segment(
                await self._ask(await asyncio.to_thread(ask, "segment", one, options))
            )

        return await self._each(pictures, answer)

    @overload
    async def panoptic(  # type: ignore[overload-overlap]
        self, pictures: Picture, **options: Unpack[PanopticOptions]
    ) -> PanopticResult: ...

    @overload
    async def panoptic(
        self, pictures: Iterable[Picture], **options: Unpack[PanopticOptions]
    ) -> list[PanopticResult]: ...

    async def panoptic(
        self, pictures: Picture | Iterable[Picture], **options: Unpack[PanopticOptions]
    ) -> PanopticResult | list[PanopticResult]:
        """Return the partition of a picture, or of each of several; all else as `segment`."""

        async def answer(one: Picture) -> PanopticResult:
            return read_panoptic(
                await self._ask(await asyncio.to_thread(ask, "panoptic", one, options))
            )

        return await self._each(pictures, answer)

    async def overlay(
        self,
        picture: Picture,
        task: Task = "segment",
        *,
        media_type: PictureType = "image/jpeg",
        **options: Unpack[Kept],
    ) -> bytes:
        """Return the file of a drawing: the picture with masks, boxes and names on it."""
        return await self._ask(
            await asyncio.to_thread(ask_drawing, task, picture, options, media_type)
        )

    async def cutout(
        self,
        picture: Picture,
        number: int | None = None,
        task: Task = "segment",
        *,
        crop: bool = False,
        **options: Unpack[Kept],
    ) -> bytes:
        """Return a PNG that is transparent but for what was found; see `Client.cutout`."""
        return await self._ask(
            await asyncio.to_thread(ask_cutout, task, picture, number, crop, options)
        )

    async def models(self) -> list[dict[str, Any]]:
        """Return the loaded models, as /models describes them."""
        return read_models(await self._ask(LIST_MODELS))

    async def wait_until_ready(self, timeout_s: float = 300.0) -> None:
        """Return once all of the server's workers are ready; see `Client.wait_until_ready`."""
        await self._ask(READY, timeout_s)

    async def _ask(self, question: Question, deadline_s: float | None = None) -> bytes:
        tries = Tries(self._deadline_s if deadline_s is None else deadline_s)
        while True:
            try:
                async with asyncio.timeout(tries.left_s) as limit:
                    answer = await self._http.request(**question.arguments(tries))
            except BROKEN as error:
                await asyncio.sleep(tries.pause_after_break(error))
                continue
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise tries.unanswered(error) from error
            body = answer.content
            pause_s = tries.pause_after_answer(answer.status_code, answer.headers, body)
            if pause_s is None:
                return body
            await asyncio.sleep(pause_s)

    async def _each(
        self,
        pictures: Picture | Iterable[Picture],
        answer: Callable[[Any], Awaitable[_Result]],
    ) -> _Result | list[_Result]:
        many = several(pictures)
        if many is None:
            return await answer(pictures)
        room = asyncio.Semaphore(self._num_at_once)

        async def in_turn(place: int, picture: Any) -> _Result:
            async with room:
                try:
                    return await answer(picture)
                except Exception as error:
                    error.add_note(f"this is about picture {place}")
                    raise

        tasks = [asyncio.create_task(in_turn(*numbered)) for numbered in enumerate(many)]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
