"""What `Guard` takes from uvicorn is there: where it is not, the version is the wrong one."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service.http.connections.guard import Guard

OWN = {"limits"} | {name for name in Guard.__annotations__ if name.startswith("_")}


async def _never_asked(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request is sent")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (h11_impl.H11Protocol, {"conn", "_should_upgrade"}),
        (
            httptools_impl.HttpToolsProtocol,
            {"parser", "scope", "headers", "pipeline", "_unset_keepalive_if_required"},
        ),
    ],
)
def test_protocols_have_the_names_that_are_used(kind: Any, more: set[str]) -> None:
    async def make() -> Any:
        config = uvicorn.Config(_never_asked, log_config=None)
        config.load()
        return kind(config=config, server_state=ServerState(), app_state={})

    protocol = asyncio.run(make())
    wanted = set(Guard.__annotations__) - OWN | more | {"send_400_response"}
    # Declared, or set when a request comes.
    source = inspect.getsource(kind)
    missing = {name for name in wanted if not hasattr(protocol, name) and name not in source}
    assert not missing, f"uvicorn {uvicorn.__version__} lacks {missing}"


@pytest.mark.parametrize("module", [h11_impl, httptools_impl])
def test_cycles_have_the_names_that_are_used(module: Any) -> None:
    cycle = module.RequestResponseCycle
    names = {"disconnected", "keep_alive", "message_event", "more_body", "response_complete"}
    source = inspect.getsource(cycle.__init__)
    missing = {name for name in names if f"self.{name}" not in source}
    assert not missing, f"uvicorn {uvicorn.__version__} lacks {missing}"
    assert callable(cycle.run_asgi)
    assert callable(FlowControl.resume_reading)
