"""POST /segment and POST /panoptic: from a request to a job, and from its result to an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.configuration.settings import Settings
from service.engine import Engine, Job, Picture, Task
from service.errors import DeadlineError, OptionError
from service.http.answers import join_answers
from service.http.connections.while_connected import while_connected
from service.http.direct_route import DirectRoute, Endpoint
from service.http.loaded_models import choose_model, require_models
from service.http.options.picture_tasks import picture_task
from service.http.options.reading import check_query, read_options
from service.http.options.records import RECORDS, PanopticOptions, SegmentOptions
from service.http.requests.bodies import choose_reader, receive_body
from service.http.requests.negotiation import (
    JSON,
    PICTURE_RENDERS,
    Render,
    picture_type,
    time_allowed_s,
)
from service.http.requests.picture_limits import judge_pictures
from service.http.requests.sent_images import Body, read_pictures
from service.http.requests.upload_room import Hold, UploadRoom
from service.http.urls.fetcher import Budget, fetch_pictures, open_fetcher
from service.watch.request_context import RequestContext, context_of

# Up to 32 MiB of base64 or form data would be too much for the event loop; so much is not.
_PARSED_AT_ONCE_BYTES = 256 * 2**10
ReadBody = Callable[[bytes], Body]


class SegmentationRoutes:
    """The two routes that run a model."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._fetcher = open_fetcher(settings)
        self._room = UploadRoom(settings.max_waiting_bytes)

    def add_to(self, app: FastAPI) -> None:
        """Register the routes."""
        endpoints: dict[str, Endpoint] = {"/segment": self.segment, "/panoptic": self.panoptic}
        for task, render in product(RECORDS, PICTURE_RENDERS):
            endpoints[f"/{task}/{render}"] = self._answer_picture(task, render)
        for path, endpoint in endpoints.items():
            app.router.add_api_route(
                path, endpoint, methods=["POST"], route_class_override=DirectRoute
            )

    def _answer_picture(self, task: Task, render: Render) -> Endpoint:
        """Return what answers with pictures alone, for clients that can't read one or the other."""

        async def answer(request: Request) -> Response:
            return await self.answer(task, request, render=render)

        return answer

    async def segment(self, request: Request) -> Response:
        """Answer with instances."""
        return await self.answer("segment", request)

    async def panoptic(self, request: Request) -> Response:
        """Answer with a partition into things and stuff."""
        return await self.answer("panoptic", request)

    async def answer(
        self,
        task: Task,
        request: Request,
        read: ReadBody | None = None,
        render: Render | None = None,
    ) -> Response:
        """Answer a request.

        Args:
            read: takes its body apart, in a thread; None: as the content's type says.
            render: which the route says beside the query.
        """
        allowed_s = time_allowed_s(
            request.headers.get("x-request-timeout"), self._settings.deadline_s
        )
        deadline = time.monotonic() + allowed_s
        query = request.query_params.multi_items()
        if render is not None:
            query.append(("render", render))
        try:
            async with asyncio.timeout(allowed_s) as limit:
                with self._room.hold() as hold:
                    job = await self._receive_job(task, query, request, hold, deadline, read)
                result = await while_connected(request.receive, self._engine.submit(job))
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineError(
                f"the request was not answered within {allowed_s:g} s; send fewer or smaller "
                "images, or ask again when the server is less busy"
            ) from None
        context = context_of(request)
        context.stages.update(result.seconds)
        if job.asked.picture_type is not None:
            return Response(result.bodies[0], media_type=job.asked.picture_type)
        with context.measure("serialise"):
            answer = join_answers(job.asked, result.model, result.bodies)
        return Response(answer, media_type=JSON)

    async def _receive_job(
        self,
        task: Task,
        query: Sequence[tuple[str, str]],
        request: Request,
        hold: Hold,
        deadline: float,
        foreign: ReadBody | None,
    ) -> Job:
        """Judge everything that can be judged without decoding, the cheapest first."""
        require_models(self._engine)
        check_query(task, query)  # before the upload, which may be long
        read = foreign or choose_reader(
            request.headers.get("content-type"),
            request.headers.get("content-encoding"),
            max_images=self._settings.max_images,
            takes_urls=self._fetcher is not None,
        )
        context = context_of(request)
        with context.measure("read"):
            data = await receive_body(
                request, hold, self._settings.max_body_bytes, self._settings.body_timeout_s
            )
        with context.measure("parse"):
            if len(data) <= _PARSED_AT_ONCE_BYTES and foreign is None:
                options, pictures, urls = self._parse(task, query, read, data)
            else:
                options, pictures, urls = await asyncio.to_thread(
                    self._parse, task, query, read, data
                )
        context.num_images = len(pictures)
        accept = ", ".join(request.headers.getlist("accept"))  # lines of one field (RFC 9110, 5.3)
        drawn_as = picture_type(options.render, accept)
        make_job = partial(self._make_job, task, options, drawn_as, deadline, context)
        job = make_job(pictures)
        if urls:
            with context.measure("fetch"):
                pictures = await self._fetch(request, pictures, urls, hold)
            job = make_job(pictures)  # anew: other models may have been loaded meanwhile
        return job

    def _parse(
        self,
        task: Task,
        query: Sequence[tuple[str, str]],
        read: ReadBody,
        data: bytes,
    ) -> tuple[SegmentOptions | PanopticOptions, tuple[Picture, ...], dict[int, str]]:
        body = read(data)
        options = read_options(task, query, body.options, body.fields)
        return options, *read_pictures(body, self._settings)

    def _make_job(
        self,
        task: Task,
        options: SegmentOptions | PanopticOptions,
        drawn_as: str | None,
        deadline: float,
        context: RequestContext,
        pictures: tuple[Picture, ...],
    ) -> Job:
        if drawn_as is not None and len(pictures) > 1:
            render = options.render or "overlay"
            raise OptionError(
                f"render is {render!r} for {len(pictures)} images; send one image, or ask for "
                "render=json"
            )
        if drawn_as is not None and options.format != "native":
            raise OptionError(
                f"format is {options.format!r} for a picture; ask for render=json, or leave the "
                "format out"
            )
        model = choose_model(self._engine.models, task, options.model)
        return Job(
            asked=picture_task(
                task,
                options,
                model,
                model.usual_threshold(self._settings.score_threshold),
                picture_type=drawn_as,
            ),
            model=model.name,
            pictures=pictures,
            deadline=deadline,
            request_id=context.request_id,
            traceparent=context.traceparent,
        )

    async def _fetch(
        self,
        request: Request,
        pictures: tuple[Picture, ...],
        urls: Mapping[int, str],
        hold: Hold,
    ) -> tuple[Picture, ...]:
        """Return the pictures, those too that were given by URL."""
        assert self._fetcher is not None
        num_bytes = sum(len(picture.data) for picture in pictures)
        budget = Budget(self._settings.max_body_bytes, hold, used=num_bytes)
        fetching = fetch_pictures(pictures, urls, self._fetcher, budget)
        pictures = await while_connected(request.receive, fetching)
        return await asyncio.to_thread(judge_pictures, pictures, self._settings)
