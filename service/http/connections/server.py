"""uvicorn's protocols, guarded: a client that sends or reads without end cannot hold a connection.

head      whole within `head_timeout_s`, else the connection is closed; so is one that never sends
          any. Between an answer and the next head uvicorn waits for `keep_alive_s`
body      judged where it is read (`bodies.receive_body`)
rubbish   what is no HTTP, or a head beyond `MAX_HEAD_BYTES`, gets its answer from the application
          (`faults.RefuseFaults`), after the requests before it, and is the end of the connection
answer    taken within `body_timeout_s`, as long as it does not get on by `MIN_PROGRESS_BYTES`
refusal   an answer that comes before the whole body has come ends the connection: what still
          arrives is thrown away for `LINGER_S`, so that the client is not cut off before it
          has read why
crowd     a connection beyond `max_connections` takes the place of the one that has been idle for
          longest; if none has been for `IDLE_S`, it is told 503; beyond twice as many, cut off

uvicorn has no door for that, so `Guard` and its subclasses lean on names that it calls its own:

modules    uvicorn.protocols.http: `h11_impl`, `httptools_impl`, `flow_control`
protocol   what `Guard` declares; `conn` and `_should_upgrade` of `H11Protocol`; `parser`,
           `scope`, `headers`, `pipeline` and `_unset_keepalive_if_required` of `HttpToolsProtocol`
cycle      the arguments of `RequestResponseCycle`, and its `disconnected`, `keep_alive`,
           `message_event`, `more_body`, `response_complete`, `run_asgi` and `scope`
flow       `resume_reading` of `FlowControl`

All of them are there, and the tests hold, from uvicorn 0.30.0 to 0.54.0; pyproject.toml bounds it
so. Before the bound is raised, `make test-newest` must pass.
"""

from __future__ import annotations

import asyncio

from service.configuration.settings import Settings
from service.http.connections.guard import ConnectionLimits, Guard


def guarded_protocol(settings: Settings) -> type[asyncio.Protocol]:
    """Return the protocol class for `uvicorn.Config(http=...)`: on httptools if that is there."""
    limits = ConnectionLimits(
        head_timeout_s=settings.head_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        max_connections=settings.max_connections,
    )
    try:
        from service.http.connections.httptools_protocol import GuardedHttpTools as Base
    except ImportError:  # slower, as right
        from service.http.connections.h11_protocol import GuardedH11

        return guarded_by(limits, GuardedH11)
    return guarded_by(limits, Base)


def guarded_by(limits: ConnectionLimits, base: type[Guard]) -> type[asyncio.Protocol]:
    """Return that class with its limits, as uvicorn makes its objects without asking us."""
    return type(base.__name__, (base,), {"limits": limits})
