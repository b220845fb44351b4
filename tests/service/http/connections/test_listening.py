from __future__ import annotations

import resource
import socket

import pytest

from service.http.connections import listening
from service.http.connections.listening import address_of, listen, make_room


def test_address_is_that_of_the_socket() -> None:
    with listen("127.0.0.1", 0, backlog=1) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_port_that_is_taken_is_an_error() -> None:
    with listen("127.0.0.1", 0, backlog=1) as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1], backlog=1)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits of open files, soft and hard; the last is in force."""
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: limits.append(pair))
    return limits


def test_room_is_made_for_connections_twice_over(limits: list[tuple[int, int]]) -> None:
    make_room(1000)
    assert limits[-1] == (2000 + listening._OTHER_FILES, 4096)


def test_room_that_is_there_is_left_alone(limits: list[tuple[int, int]]) -> None:
    make_room(100)
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    make_room(1_000_000)
    assert len(limits) == 2


def test_room_that_the_system_does_not_give_is_an_error(limits: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"max_connections is 2000.*4256.*at most 1920"):
        make_room(2000)
