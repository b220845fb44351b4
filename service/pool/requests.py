"""The requests that were let in and are not answered yet."""

from __future__ import annotations

import time
from collections.abc import Iterator

from service.errors import ServiceError
from service.pool.dispatcher import Dispatcher
from service.pool.pending import PendingRequest
from service.pool.roster import Roster
from service.pool.waiting_room import WaitingRoom
from service.watch.metrics import Metrics


class Requests:
    """Lets requests in, and lets go of them.

    Args:
        room, dispatcher: where their pictures wait, and who hands them out.
        roster: who will answer them.
    """

    def __init__(
        self, room: WaitingRoom, dispatcher: Dispatcher, roster: Roster, metrics: Metrics
    ) -> None:
        self._room = room
        self._dispatcher = dispatcher
        self._roster = roster
        self._metrics = metrics
        self._here: set[PendingRequest] = set()

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(tuple(self._here))

    @property
    def awaited(self) -> set[tuple[str, str]]:
        """(name, edition) of the models that some of them are held to."""
        return {(r.job.model, r.edition) for r in self._here if r.edition is not None}

    def let_in(self, request: PendingRequest) -> None:
        """Let a request's pictures wait; it is to be let go of in any case, also if refused.

        Raises:
            ServiceError: it is refused; see `WaitingRoom.enter`.
        """
        self._here.add(request)
        name = request.job.model
        try:
            self._room.enter(
                request,
                num_workers=max(1, self._roster.num_ready(name)),
                shares=self._roster.shares(name),
                ahead_s=self._dispatcher.ahead_s(self._roster.seats_of(name)),
                now=time.monotonic(),
            )
        except ServiceError as error:
            self._metrics.refused(error.kind.replace("-", "_"))
            raise

    def let_go(self, request: PendingRequest) -> None:
        """Take a request out that is over: what still waits of it must not cost anything."""
        self._here.discard(request)
        if request.answer.cancelled():
            is_late = time.monotonic() >= request.job.deadline
            request.unwanted = "deadline" if is_late else "client_gone"
        for _ in range(self._room.leave(request)):
            if request.unwanted:
                self._metrics.dropped(request.unwanted)
        self._dispatcher.drop(request)
