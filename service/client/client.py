"""The client that waits for its answers; any number of threads may share one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
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


class Client:
    """Asks a server about pictures, and asks again while it is full, restarts or breaks off.

    Each picture is a request of its own and is answered once, whatever happens on the way, or
    raises. Any thread may call it. Close it, or use it in a `with` statement: it keeps connections.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        deadline_s: float = DEADLINE_S,
        num_at_once: int = NUM_AT_ONCE,
        **http: Any,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: of the server, as in http://127.0.0.1:8000.
            deadline_s: for a picture, over all tries.
            num_at_once: how many pictures of a list are asked about at the same time.
            http: further arguments of `httpx.Client`: verify, proxy, headers, …
        """
        self._deadline_s = deadline_s
        self._num_at_once = num_at_once
        self._http = httpx.Client(**http_arguments(url, api_key, http))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def segment(  # type: ignore[overload-overlap]
        self, pictures: Picture, **options: Unpack[SegmentOptions]
    ) -> SegmentResult: ...

    @overload
    def segment(
        self, pictures: Iterable[Picture], **options: Unpack[SegmentOptions]
    ) -> list[SegmentResult]: ...

    def segment(
        self, pictures: Picture | Iterable[Picture], **options: Unpack[SegmentOptions]
    ) -> SegmentResult | list[SegmentResult]:
        """Return the instances of a picture, or of each of several, in their order.

        Args:
            pictures: paths, bytes of files, arrays (upright, uint8, RGB) or PIL pictures.
            options: see `SegmentOptions`.
        Raises:
            RefusedError: the server does not take the picture or an option, or is full for so long.
            UnansweredError: no answer came in time.
            ValueError, OSError: what is given is no picture, or cannot be read.
        """
        return self._each(
            pictures, lambda one: read_segment(self._ask(ask("segment", one, options)))
        )

    @overload
    def panoptic(  # type: ignore[overload-overlap]
        self, pictures: Picture, **options: Unpack[PanopticOptions]
    ) -> PanopticResult: ...

    @overload
    def panoptic(
        self, pictures: Iterable[Picture], **options: Unpack[PanopticOptions]
    ) -> list[PanopticResult]: ...

    def panoptic(
        self, pictures: Picture | Iterable[Picture], **options: Unpack[PanopticOptions]
    ) -> PanopticResult | list[PanopticResult]:
        """Return the partition of a picture, or of each of several; all else as `segment`."""
        return self._each(
            pictures, lambda one: read_panoptic(self._ask(ask("panoptic", one, options)))
        )

    def overlay(
        self,
        picture: Picture,
        task: Task = "segment",
        *,
        media_type: PictureType = "image/jpeg",
        **options: Unpack[Kept],
    ) -> bytes:
        """Return the file of a drawing: the picture with masks, boxes and names on it."""
        return self._ask(ask_drawing(task, picture, options, media_type))

    def cutout(
        self,
        picture: Picture,
        number: int | None = None,
        task: Task = "segment",
        *,
        crop: bool = False,
        **options: Unpack[Kept],
    ) -> bytes:
        """Return a PNG that is transparent but for what was found.

        Args:
            number: of the one that is wanted: its place among `instances`, from 0, or a segment's
                `id`; None: all together.
            crop: to the least box around it; else in the place of the whole picture.
        """
        return self._ask(ask_cutout(task, picture, number, crop, options))

    def models(self) -> list[dict[str, Any]]:
        """Return the loaded models, as /models describes them."""
        return read_models(self._ask(LIST_MODELS))

    def wait_until_ready(self, timeout_s: float = 300.0) -> None:
        """Return once all of the server's workers are ready.

        Raises:
            RefusedError, UnansweredError: they are not in that time.
        """
        self._ask(READY, timeout_s)

    def _ask(self, question: Question, deadline_s: float | None = None) -> bytes:
        tries = Tries(self._deadline_s if deadline_s is None else deadline_s)
        while True:
            try:
                status, fields, body = self._try(question, tries)
            except BROKEN as error:
                time.sleep(tries.pause_after_break(error))
                continue
            pause_s = tries.pause_after_answer(status, fields, body)
            if pause_s is None:
                return body
            time.sleep(pause_s)

    def _try(self, question: Question, tries: Tries) -> tuple[int, httpx.Headers, bytes]:
        chunks = []
        with self._http.stream(**question.arguments(tries)) as answer:
            for chunk in answer.iter_bytes():
                chunks.append(chunk)
                tries.check()  # where it trickles in, no step takes too long
        return answer.status_code, answer.headers, b"".join(chunks)

    def _each(
        self, pictures: Picture | Iterable[Picture], answer: Callable[[Any], _Result]
    ) -> _Result | list[_Result]:
        many = several(pictures)
        if many is None:
            return answer(pictures)

        def in_turn(place: int, picture: Any) -> _Result:
            try:
                return answer(picture)
            except Exception as error:
                error.add_note(f"this is about picture {place}")
                raise

        with ThreadPoolExecutor(self._num_at_once, thread_name_prefix="picture") as threads:
            waiting = [threads.submit(in_turn, *numbered) for numbered in enumerate(many)]
            try:
                return [one.result() for one in waiting]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
