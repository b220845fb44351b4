"""`python -m service`: loads a model and serves it until told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from model.version import installed_version
from service.app import create_app
from service.configuration.cli import PROGRAM, parse_command_line
from service.configuration.devices import settle_devices
from service.configuration.printing import settings_as_toml
from service.configuration.settings import Settings
from service.configuration.sources import read_settings
from service.engine import Engine, LoadError
from service.errors import ReloadError
from service.http.connections.listening import address_of, listen, make_room
from service.http.connections.server import guarded_protocol
from service.keyring import Keyring, open_keyring
from service.pool.opening import WORKER_COMMAND, open_engine
from service.reloading import reload_all
from service.watch.logs import configure_logging
from service.watch.metrics import Metrics
from service.watch.tracing import open_tracing

# Exit codes.
STOPPED, CANNOT_SERVE = 0, 2
# What requests may still take after their deadline, to be answered with 504.
LAST_ANSWERS_S = 2


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: uvicorn's own way ends in dying of the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(
    arguments: Sequence[str] | None = None, *, worker_command: Sequence[str] = WORKER_COMMAND
) -> int:
    """Serve, and return the exit code: 0 after a signal, 2 if there is nothing to serve.

    Args:
        arguments: of the command line; None: the process's own.
        worker_command: what runs a worker process.
    """
    try:
        typed = parse_command_line(arguments)
        read = read_settings(typed.flags, file=typed.file)
        if typed.print_settings:
            sys.stdout.write(settings_as_toml(read))
            return STOPPED
        settings = settle_devices(read.settings)
        make_room(settings.max_connections)
        tracing = open_tracing(settings.tracing, installed_version())
        keyring = open_keyring(settings)
    except (ValueError, OSError) as error:
        return _refuse(str(error))
    configure_logging(settings.log_level, settings.log_format)
    try:
        listener = listen(settings.host, settings.port, backlog=settings.max_connections)
    except OSError as error:
        reason = error.strerror or str(error)
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {reason}")
    metrics = Metrics()
    try:
        engine = open_engine(settings, metrics, worker_command, tracing)
    except ValueError as error:
        listener.close()
        return _refuse(str(error))
    app = create_app(settings, engine, metrics, tracing, keyring)
    # What is imported stays; a collection that goes through it makes everybody wait for 30 ms.
    gc.freeze()
    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_serve(settings, app, engine, metrics, keyring, listener))
    if tracing is not None:
        tracing.close()
    return code


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # slower, as right
        return None
    return uvloop.new_event_loop


async def _serve(
    settings: Settings,
    app: FastAPI,
    engine: Engine,
    metrics: Metrics,
    keyring: Keyring,
    listener: socket.socket,
) -> int:
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=settings.max_connections,
            http=guarded_protocol(settings),
            ws="none",
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=int(settings.deadline_s) + LAST_ANSWERS_S,
        )
    )
    metrics.watch_connections(lambda: len(server.server_state.connections))
    _Stopping(settings.grace_s, engine, server)
    reloading = _Reloading(engine, keyring)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    loading = asyncio.create_task(engine.wait_until_loaded())
    address = address_of(listener)
    names = ", ".join(model.written for model in settings.models)
    _say(f"listening on {address}, loading {names}")
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    code = STOPPED
    if loading.done():
        try:
            loading.result()
            _say(_greeting(address))
        except LoadError as error:
            code = _refuse(f"cannot load the model: {error}")
            server.should_exit = True
    await serving
    loading.cancel()
    reloading.stop()
    engine.stop()  # uvicorn's own end leaves it out when it is told to leave at once
    await engine.wait_stopped()
    return code


class _Stopping:
    """On SIGTERM: unready at once, stop after the grace period. On a second signal, or Ctrl-C:
    stop now, answering what was accepted. On one more: leave at once.
    """

    def __init__(self, grace_s: float, engine: Engine, server: uvicorn.Server) -> None:
        self._grace_s = grace_s
        self._engine = engine
        self._server = server
        self._is_draining = self._is_told_to_stop = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTERM, self._on_terminate)
        self._loop.add_signal_handler(signal.SIGINT, self._stop)

    def _on_terminate(self) -> None:
        if self._is_draining:
            self._stop()
        else:
            self._drain()
            self._loop.call_later(self._grace_s, setattr, self._server, "should_exit", True)

    def _drain(self) -> None:
        self._is_draining = True
        self._engine.drain()

    def _stop(self) -> None:
        self._drain()
        self._server.should_exit = True
        self._server.force_exit = self._is_told_to_stop
        self._is_told_to_stop = True


class _Reloading:
    """On SIGHUP: keys and weights are read anew; requests go on meanwhile."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine
        self._keyring = keyring
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin)

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        task = asyncio.create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        with suppress(ReloadError):  # nobody waits for an answer, and the log has it
            await reload_all(self._engine, self._keyring)


def _greeting(address: str) -> str:
    return (
        f"ready; the API is described at {address}/docs. Try:\n"
        f"  curl -H 'Content-Type: image/jpeg' --data-binary @picture.jpg {address}/segment"
    )


def _say(text: str) -> None:
    with suppress(OSError):  # a full disk, a reader that is gone: no reason not to serve
        os.write(sys.stdout.fileno(), f"{text}\n".encode())


def _refuse(text: str) -> int:
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    return CANNOT_SERVE


if __name__ == "__main__":
    sys.exit(main())
