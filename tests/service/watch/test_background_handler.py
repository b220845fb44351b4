from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from service.watch.background_handler import BackgroundHandler, verbatim


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


def record(text: str, name: str = "service.x") -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "msg": text, "levelname": "INFO"})


def handler_on(fd: int, most_characters: int = 10**6) -> BackgroundHandler:
    handler = BackgroundHandler(fd, most_characters)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    return handler


def filled(write: int) -> None:
    """Fill a pipe to the brim."""
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)


def emptied(read: int, handler: BackgroundHandler) -> str:
    """Take all that a handler has to write, and return what was written."""
    os.set_blocking(read, False)
    taken = b""
    while handler._num_characters:
        with suppress(BlockingIOError):
            taken += os.read(read, 2**16)
    with suppress(BlockingIOError):
        while True:
            taken += os.read(read, 2**16)
    return taken.decode().lstrip(".")


def test_lines_are_written_in_order_before_it_closes() -> None:
    with pipe() as (read, write):
        handler = handler_on(write)
        for n in range(100):
            handler.handle(record(f"line {n}"))
        handler.close()
        assert os.read(read, 2**16).decode() == "".join(f"INFO line {n}\n" for n in range(100))


def test_lines_of_others_are_written_as_they_are() -> None:
    with pipe() as (read, write):
        handler = handler_on(write)
        handler.handle(record('{"message": "from a worker"}', name=verbatim.name))
        handler.close()
        assert os.read(read, 2**16) == b'{"message": "from a worker"}\n'


def test_nobody_waits_for_a_log_that_nobody_reads() -> None:
    with pipe() as (read, write):
        filled(write)
        handler = handler_on(write, most_characters=1000)
        for n in range(1000):
            handler.handle(record(f"line {n}"))
        handler.close()  # returns, though nothing can be written
        assert emptied(read, handler).startswith("INFO line 0\nINFO line 1\n")


def test_dropped_lines_are_counted_and_told() -> None:
    with pipe() as (read, write):
        filled(write)
        handler = handler_on(write, most_characters=100)
        for n in range(20):
            handler.handle(record(f"line {n:02}"))  # of 12 characters each
        assert emptied(read, handler) == "".join(f"INFO line {n:02}\n" for n in range(8))
        handler.handle(record("the next one"))
        lines = emptied(read, handler).splitlines()
        assert lines == [
            "WARNING lines of the log were dropped, as nothing took them",
            "INFO the next one",
        ]
        handler.close()


def test_a_disk_that_is_full_stops_nothing() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    handler = handler_on(fd)
    handler.handle(record("lost"))
    handler.handle(record("lost, too"))
    handler.close()
    os.close(fd)


def test_a_record_that_cannot_be_formatted_is_told_by_name() -> None:
    with pipe() as (read, write):
        handler = handler_on(write)
        handler.handle(logging.makeLogRecord({"name": "service.y", "msg": "%d", "args": ("x",)}))
        handler.close()
        assert b"a log record cannot be formatted" in os.read(read, 2**16)
