"""`python -m service`: loads a model and serves it until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from service.app import create_app
from service.engine import LoadError
from service.logs import configure_logging
from service.settings import Settings, flag_of, read_settings, variable_of
from service.thread_engine import PictureWorker, ThreadEngine

# Exit codes; 2 is also argparse's.
STOPPED, CANNOT_SERVE = 0, 2
# What requests may still take after their deadline, to be answered with 504.
LAST_ANSWERS_S = 2


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: uvicorn's own way ends in dying of the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and return the exit code: 0 after a signal, 2 if there is nothing to serve."""
    try:
        settings = read_settings(_parse_flags(arguments))
    except ValueError as error:
        return _refuse(str(error))
    configure_logging(settings.log_level)
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or str(error)
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {reason}")
    engine = ThreadEngine(
        lambda: _load(settings),
        max_waiting_images=settings.max_waiting_images,
        max_waiting_bytes=settings.max_waiting_bytes,
    )
    with listener:
        code = asyncio.run(_serve(settings, engine, listener))
    if not engine.join(timeout_s=1):
        # The thread is in a download or in the network, which nothing can interrupt, and an
        # interpreter that winds up under it may crash.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


async def _serve(settings: Settings, engine: ThreadEngine, listener: socket.socket) -> int:
    app = create_app(settings, engine)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.deadline_s) + LAST_ANSWERS_S,
        )
    )
    _stop_on_signals(settings, engine, server)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    loading = asyncio.create_task(engine.wait_until_loaded())
    address = _address(listener)
    _say(f"listening on {address}, loading {settings.weights}")
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
    return code


def _stop_on_signals(settings: Settings, engine: ThreadEngine, server: uvicorn.Server) -> None:
    """On SIGTERM: unready at once, stop after the grace period. On a second signal, or Ctrl-C:
    stop now, answering what was accepted. On one more: leave at once.
    """
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    def on_terminate() -> None:
        draining = engine.unready_reason is not None and bool(engine.models)
        engine.drain()
        if draining or settings.grace_s == 0:
            stop()
        else:
            loop.call_later(settings.grace_s, setattr, server, "should_exit", True)

    def on_interrupt() -> None:
        engine.drain()
        stop()

    loop.add_signal_handler(signal.SIGTERM, on_terminate)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)


def _load(settings: Settings) -> PictureWorker:
    from service.worker import load_worker  # takes seconds, and the server answers meanwhile

    return load_worker(settings)


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greeting(address: str) -> str:
    return (
        f"ready; the API is described at {address}/docs. Try:\n"
        f"  curl -H 'Content-Type: image/jpeg' --data-binary @picture.jpg {address}/segment"
    )


def _parse_flags(arguments: Sequence[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve a BlendMask model over HTTP.",
        epilog="Each setting is also read from the environment: "
        f"{variable_of('weights')}, {variable_of('max_pixels')}, …; a flag wins.",
        argument_default=argparse.SUPPRESS,
    )
    for name, field in Settings.model_fields.items():
        if name == "overrides":
            continue
        default = "" if field.default is None else f" (default: {field.default})"
        parser.add_argument(
            flag_of(name), metavar=name.upper(), help=f"{field.description}{default}"
        )
    parser.add_argument(
        "--override",
        nargs=2,
        action="append",
        dest="overrides",
        metavar=("KEY", "VALUE"),
        help="change one member of the configuration; may be repeated",
    )
    flags = vars(parser.parse_args(arguments))
    if "overrides" in flags:
        flags["overrides"] = [text for pair in flags["overrides"] for text in pair]
    return flags


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _refuse(text: str) -> int:
    sys.stderr.write(f"python -m service: {text}\n")
    return CANNOT_SERVE


if __name__ == "__main__":
    sys.exit(main())
