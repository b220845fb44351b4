from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.pool.canvas_record import CanvasRecord


def _request(*pictures: tuple[tuple[int, int], tuple[int, int]]) -> Any:
    """Stands for a PendingRequest whose pictures have these canvases and sizes."""
    return SimpleNamespace(
        pictures=[SimpleNamespace(canvas=canvas) for canvas, _ in pictures],
        job=SimpleNamespace(
            pictures=[
                SimpleNamespace(height=height, width=width) for _, (height, width) in pictures
            ]
        ),
    )


_WIDE = ((320, 448), (480, 640))
_TALL = ((448, 320), (640, 480))


def test_the_most_frequent_canvas_comes_first_with_a_size_that_was_met() -> None:
    record = CanvasRecord(None)
    record.note(_request(_WIDE))
    record.note(_request(_TALL, _TALL))
    assert record.frequent == ((640, 480), (480, 640))


def test_what_was_saved_is_known_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "canvases.json"
    record = CanvasRecord(path)
    record.note(_request(_WIDE))
    record.write(record.text())
    assert CanvasRecord(path).frequent == ((480, 640),)
    assert [file.name for file in tmp_path.iterdir()] == ["canvases.json"]


def test_without_a_path_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    record = CanvasRecord(None)
    record.note(_request(_WIDE))
    record.write(record.text())
    assert list(tmp_path.iterdir()) == []
    assert caplog.text == ""


@pytest.mark.parametrize("text", ["", "[]", '{"canvases": [{"canvas": [1]}]}', '{"canvases": 3}'])
def test_a_broken_file_is_reported_and_ignored(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "canvases.json"
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        record = CanvasRecord(path)
    assert record.frequent == ()
    assert "cannot be read" in caplog.text


def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = CanvasRecord(tmp_path / "missing" / "canvases.json")
    record.note(_request(_WIDE))
    with caplog.at_level(logging.WARNING):
        record.write(record.text())
    assert "not written" in caplog.text


def test_counts_fade_from_start_to_start(tmp_path: Path) -> None:
    path = tmp_path / "canvases.json"
    record = CanvasRecord(path)
    for _ in range(9):
        record.note(_request(_WIDE))
    record.write(record.text())
    CanvasRecord(path).write(CanvasRecord(path).text())
    assert json.loads(path.read_text())["canvases"][0]["count"] == 4


def test_strangers_cannot_make_it_grow_for_ever() -> None:
    record = CanvasRecord(None)
    for side in range(1, 2000):
        record.note(_request(((side, side), (side, side))))
    assert len(record._sizes) == 1000
