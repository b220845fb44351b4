"""The limits of a connection, laid over one of uvicorn's protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from starlette.types import Scope

from service.http.connections.connection_state import (
    BODY_IS_PENDING,
    FAULT,
    HEAD_IS_TOO_LARGE,
    IS_CROWDED,
    MAX_HEAD_BYTES,
    NO_HTTP,
    scope_of_fault,
)
from service.http.connections.lingering import LingeringTransport
from service.http.connections.write_watch import WriteWatch

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl

# So long, and so much of a refused request, is read and thrown away: who is still sending would
# else lose the answer.
LINGER_S = 2.0
LINGER_BYTES = 64 * 2**20
# As a request may be on its way into a connection that was in use just now.
IDLE_S = 1.0
# How far the client has come with the request that it is at.
Reading = Literal["nothing", "head", "body", "whole", "rubbish"]


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What one connection may take, and how many there may be."""

    head_timeout_s: float
    body_timeout_s: float
    max_connections: int


class Guard(asyncio.Protocol):
    """The limits, laid over one of uvicorn's protocols, which comes after it in the class's order.

    A subclass says how far the client has come.
    """

    limits: ConnectionLimits

    # uvicorn's.
    access_logger: Any
    app: Any
    app_state: dict[str, Any]
    connections: set[Any]
    cycle: Any
    flow: FlowControl
    logger: Any
    loop: asyncio.AbstractEventLoop
    on_response_complete: Any
    server_state: Any
    tasks: set[asyncio.Task[None]]
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None
    transport: Any

    _raw: asyncio.Transport
    _write_watch: WriteWatch
    _is_spoilt = False
    _head_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _num_head_bytes = 0
    _num_discarded = 0

    def progress(self) -> Reading:
        """Return how far the client has come with its request, as long as it keeps to HTTP."""
        raise NotImplementedError

    def begin_last_answer(self, scope: Scope) -> None:
        """Let the application answer that, after what it is answering already, and then close."""
        raise NotImplementedError

    def last_cycle(self, kind: Callable[..., Any], scope: Scope, **own: Any) -> Any:
        """Return what answers that and then closes; own: what only one of uvicorn's kinds takes."""
        cycle = kind(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
            **own,
        )
        cycle.more_body = cycle.keep_alive = False
        return cycle

    def reading(self) -> Reading:
        """Return how far the client has come with its request."""
        return "rubbish" if self._is_spoilt else self.progress()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; uvicorn's name for it."""
        is_head = self.cycle is None or not self.cycle.more_body
        is_too_large = is_head and self._num_head_bytes > MAX_HEAD_BYTES
        self.refuse(HEAD_IS_TOO_LARGE if is_too_large else NO_HTTP)

    def refuse(self, fault: str) -> None:
        """Read no further, and have the client told why once it has all other answers.

        A request that breaks off inside its body is answered with that by the application, which
        is waiting for the rest; else there is one more answer, to a request that is none.
        """
        self._is_spoilt = True
        self._disarm_head()
        cycle = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:
            cycle.scope["state"][FAULT] = fault
            cycle.more_body = False
            cycle.message_event.set()
        else:
            self.begin_last_answer(scope_of_fault(fault, self.app_state))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        self._raw = cast("asyncio.Transport", transport)
        self._write_watch = WriteWatch(self._raw, self.loop, self.limits.body_timeout_s)
        self.app_state = {**self.app_state, BODY_IS_PENDING: self._body_is_pending}
        super().connection_made(
            cast("asyncio.Transport", LingeringTransport(self._raw, self._close))
        )
        if len(self.connections) > 2 * self.limits.max_connections:
            self._raw.abort()
        elif len(self.connections) > self.limits.max_connections and not self._make_room():
            self.app_state[IS_CROWDED] = True
        self._arm_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all watches."""
        self._write_watch.stop()
        for timer in (self._head_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass it on, and see whether the head gets on."""
        if self._linger_timer is not None or self._is_spoilt:
            self._num_discarded += len(data)
            if self._num_discarded > LINGER_BYTES:
                self._raw.abort()
            return
        self._num_head_bytes += len(data)
        super().data_received(data)
        reading = self.reading()
        if reading == "rubbish" or self._linger_timer is not None or self._raw.is_closing():
            self._disarm_head()
        elif reading == "body" or (reading == "whole" and self._is_answering()):
            self._num_head_bytes = 0
            self._disarm_head()
        elif self._num_head_bytes > MAX_HEAD_BYTES:
            self.refuse(HEAD_IS_TOO_LARGE)
        else:
            self._arm_head()

    def pause_writing(self) -> None:
        """Begin to watch whether the client takes its answer."""
        super().pause_writing()
        self._write_watch.start()

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        self._write_watch.stop()

    def run(self, cycle: Any) -> None:
        """Let the application answer what that stands for."""
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def idle_s(self) -> float:
        """Return for how long the client, which has all its answers, has sent nothing; or 0."""
        timer = self.timeout_keep_alive_task
        is_open = not self._raw.is_closing() and not self._raw.get_write_buffer_size()
        if timer is None or not is_open or self._is_answering():
            return 0.0
        return self.loop.time() - (timer.when() - self.timeout_keep_alive)

    def _make_room(self) -> bool:
        idlest: Guard = max(self.connections, key=Guard.idle_s)
        if idlest.idle_s() < IDLE_S:
            return False
        idlest._raw.close()
        return True

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _body_is_pending(self, state: Mapping[str, Any]) -> bool:
        # Of a request that others follow already, all is there.
        return self.cycle.scope["state"] is state and self.reading() == "body"

    def _arm_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_timeout_s, self._end_head)

    def _disarm_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        self._head_timer = None
        if self._is_answering():
            self._arm_head()  # the next request waits behind this one: not the client's fault
        else:
            self._raw.close()

    def _close(self) -> None:
        self._disarm_head()
        if self.reading() in ("nothing", "whole") or not self._raw.can_write_eof():
            self._write_watch.start()
            self._raw.close()
            return
        self._raw.write_eof()
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_S, self._end_linger)

    def _end_linger(self) -> None:
        self._write_watch.start()
        self._raw.close()
