from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pool import arena as arenas
from service.pool.arena import Arena, ArenaView


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena(256)
    yield arena
    arena.close()


def test_the_worker_reads_what_the_server_put(arena: Arena) -> None:
    view = ArenaView(arena.fd, arena.num_bytes)
    first, second = arena.put(b"abc"), arena.put(memoryview(b"defgh"))
    assert first is not None
    assert second is not None
    assert bytes(view.read(first, 3)) == b"abc"
    assert bytes(view.read(second, 5)) == b"defgh"


def test_stretches_are_whole_units_of_64_bytes_from_the_lowest_address(arena: Arena) -> None:
    assert [arena.put(b"x"), arena.put(b"x" * 65), arena.put(b"")] == [0, 64, 192]
    assert arena.used_bytes == 256


def test_what_does_not_fit_now_is_not_put(arena: Arena) -> None:
    assert arena.put(b"x" * 257) is None
    assert arena.put(b"x" * 256) == 0
    assert arena.put(b"") is None
    arena.free(0)
    assert arena.put(b"y" * 256) == 0


@pytest.mark.parametrize("order", [(0, 64, 128), (128, 64, 0), (0, 128, 64), (64, 0, 128)])
def test_neighbours_that_are_free_become_one(arena: Arena, order: tuple[int, ...]) -> None:
    for _ in range(4):
        arena.put(b"x")
    for offset in order:
        arena.free(offset)
    assert arena.put(b"y" * 192) == 0


def test_lowest_hole_that_is_large_enough_is_used(arena: Arena) -> None:
    for _ in range(4):
        arena.put(b"x")
    arena.free(128)
    arena.free(0)
    assert arena.put(b"y") == 0
    assert arena.put(b"y") == 128


def test_memory_in_pieces_takes_nothing_larger_than_a_piece(arena: Arena) -> None:
    for _ in range(4):
        arena.put(b"x")
    arena.free(0)
    arena.free(128)
    assert arena.used_bytes == 128
    assert arena.put(b"y" * 65) is None


def test_free_of_what_is_not_taken_is_an_error(arena: Arena) -> None:
    offset = arena.put(b"x")
    assert offset is not None
    arena.free(offset)
    with pytest.raises(ValueError, match="at 0"):
        arena.free(offset)


def test_nothing_is_ever_overwritten_and_all_comes_back() -> None:
    rng = random.Random(0)
    arena = Arena(64 * 50)
    view = ArenaView(arena.fd, arena.num_bytes)
    held: dict[int, bytes] = {}
    for step in range(2000):
        data = rng.randbytes(rng.randrange(600))
        offset = arena.put(data)
        if offset is not None:
            assert offset not in held
            held[offset] = data
        if offset is None or rng.random() < 0.45:
            gone = rng.choice(list(held))
            assert bytes(view.read(gone, len(held[gone]))) == held.pop(gone), step
            arena.free(gone)
    for offset, data in held.items():
        assert bytes(view.read(offset, len(data))) == data
        arena.free(offset)
    assert arena.used_bytes == 0
    assert arena.put(b"x" * 64 * 50) == 0
    arena.close()


def test_the_worker_cannot_write_and_cannot_read_outside(arena: Arena) -> None:
    view = ArenaView(arena.fd, arena.num_bytes)
    with pytest.raises(TypeError):
        view.read(0, 4)[0] = 1
    with pytest.raises(ValueError, match="not in 256"):
        view.read(250, 7)
    with pytest.raises(ValueError, match="not in 256"):
        view.read(-1, 1)


def test_nobody_changes_the_size(arena: Arena) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, 64)


@pytest.mark.parametrize("num_bytes", [0, -1])
def test_size_must_be_positive(num_bytes: int) -> None:
    with pytest.raises(ValueError, match=str(num_bytes)):
        Arena(num_bytes)


def test_more_than_is_available_is_refused_with_what_to_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arenas, "available_bytes", lambda: 1000)
    with pytest.raises(ValueError, match=r"1024 bytes, but only 1000.*lower max_waiting_bytes"):
        Arena(1001)


def test_without_memfd_a_file_without_a_name_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(arenas, "_SHARED_FOLDER", tmp_path)
    arena = Arena(256)
    assert list(tmp_path.iterdir()) == []
    offset = arena.put(b"abc")
    assert offset is not None
    assert bytes(ArenaView(arena.fd, 256).read(offset, 3)) == b"abc"
    arena.close()


def test_file_that_its_folder_has_no_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are available"):
        arenas._open_unlinked_file(2**60, tmp_path)
    assert list(tmp_path.iterdir()) == []
