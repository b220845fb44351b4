from __future__ import annotations

import asyncio
import io
import logging

import pytest

from service.pool.worker_output import LINE_LIMIT, pass_on


def passed_on(data: bytes, *, is_json: bool, limit: int = LINE_LIMIT) -> None:
    async def run() -> None:
        reader = asyncio.StreamReader(limit=limit)
        reader.feed_data(data)
        reader.feed_eof()
        await pass_on(reader, device="cuda:1", is_json=is_json)

    asyncio.run(run())


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [(r.getMessage(), r.device, getattr(r, "line", "")) for r in caplog.records]


def test_a_log_line_passes_as_it_is(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    passed_on(b'{"message": "ready"}\n', is_json=True)
    assert capsys.readouterr().err == '{"message": "ready"}\n'
    assert caplog.records == []


def test_any_other_line_becomes_a_record_where_the_log_is_json(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        passed_on(b'LZWDecode: Not enough data.\n\n{"a": 1}\nno end \xff', is_json=True)
    assert capsys.readouterr().err == '{"a": 1}\n'
    assert said(caplog) == [
        ("a worker wrote to stderr", "cuda:1", "LZWDecode: Not enough data."),
        ("a worker wrote to stderr", "cuda:1", "no end \\xff"),
    ]


def test_text_passes_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    passed_on(b"Traceback:\n\n  File\n", is_json=False)
    assert capsys.readouterr().err == "Traceback:\n\n  File\n"


def test_a_line_beyond_the_limit_is_left_out_and_the_next_one_passes(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        passed_on(b"x" * 50 + b"\nnext\n", is_json=False, limit=20)
    assert capsys.readouterr().err == "next\n"
    assert said(caplog) == [("a line of a worker is too long", "cuda:1", "")]


def test_a_log_that_cannot_be_written_keeps_no_worker_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            tried.append(text)
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    passed_on(b"one\ntwo\n", is_json=False)
    assert tried == ["one\n", "two\n"]
