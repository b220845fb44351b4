"""Both clients behind one way to call them."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from service.client import AsyncClient, Client

Kind = Literal["plain", "asyncio"]
KINDS: tuple[Kind, ...] = ("plain", "asyncio")


def use(
    kind: Kind,
    url: str,
    method: str,
    *arguments: Any,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """Return what a client's method returns.

    Args:
        options: of the method. settings: of the client.
    """
    if kind == "plain":
        with Client(url, **settings) as client:
            return getattr(client, method)(*arguments, **(options or {}))

    async def run() -> Any:
        async with AsyncClient(url, **settings) as client:
            return await getattr(client, method)(*arguments, **(options or {}))

    return asyncio.run(run())
