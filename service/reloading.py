"""Weights and API keys anew, in a server that goes on serving."""

from __future__ import annotations

import asyncio
import logging

from service.engine import Engine, LoadError
from service.errors import ReloadError
from service.keyring import Keyring

log = logging.getLogger(__name__)


async def reload_all(engine: Engine, keyring: Keyring) -> None:
    """Load the weights and read the keys anew, and return once both are in force.

    Raises:
        ReloadError: one of them cannot be had, and both go on as before; the log says why.
    """
    try:
        # The keys are read first, as that may fail at once, and are in force last: whoever is told
        # that nothing was reloaded goes on with the key that opened the door.
        keys = await asyncio.to_thread(keyring.read)
        await engine.reload()
    except (LoadError, ValueError, OSError) as error:
        # Its text may name files, which are the operator's business alone.
        log.error("not reloaded; all goes on as before", extra={"why": str(error)})
        raise ReloadError(
            "what should be loaded cannot be had, and the old goes on serving; the server's log "
            "says why"
        ) from None
    keyring.use(keys)
