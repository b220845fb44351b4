"""The process of a worker: started with its end of a socket, and waited for at its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from service.configuration.machine import num_oom_kills
from service.pool.arena import Arena
from service.pool.worker_output import LINE_LIMIT, pass_on

# What it may take to exit once it has closed its socket or was told to.
EXIT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a process ended.

    was_oom_killed: it was killed, and the kernel ended some process for want of memory meanwhile.
    """

    code: int
    was_oom_killed: bool


class Child:
    """A process that was started.

    Args:
        output: what passes its stderr on.
        oom_kills_before: by the kernel, when it was started.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        output: asyncio.Task[None],
        oom_kills_before: int,
    ) -> None:
        self._process = process
        self._output = output
        self._oom_kills_before = oom_kills_before

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def see_off(self) -> Exit:
        """Wait for the exit; a process that has said goodbye and stays is killed."""
        code = await self._exit_code()
        await asyncio.wait((self._output,), timeout=EXIT_S)
        self._output.cancel()
        is_killed = code == -signal.SIGKILL
        was_oom_killed = is_killed and num_oom_kills() > self._oom_kills_before
        return Exit(code=code, was_oom_killed=was_oom_killed)

    async def _exit_code(self) -> int:
        try:
            async with asyncio.timeout(EXIT_S):
                return await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            return await self._process.wait()


async def start_child(
    command: Sequence[str], sock: socket.socket, arena: Arena, *, device: str, is_json: bool
) -> Child:
    """Return a started process.

    Args:
        command: what runs it; `--socket FD --arena FD` is added.
        sock: its end of the socket; the caller's to close here.
        device, is_json: what it runs on, and how it logs.
    Raises:
        OSError: it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--socket", str(sock.fileno()), "--arena", str(arena.fd)),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
        pass_fds=(sock.fileno(), arena.fd),
        start_new_session=True,  # a Ctrl-C at the terminal is for the server alone
    )
    assert process.stderr is not None
    output = asyncio.create_task(pass_on(process.stderr, device=device, is_json=is_json))
    return Child(process, output, num_oom_kills())
