from __future__ import annotations

import asyncio
import logging

import pytest

from service.pool.worker_output import LINE_LIMIT, pass_on
from service.watch.background_handler import verbatim


def passed_on(data: bytes, *, is_json: bool, limit: int = LINE_LIMIT) -> None:
    async def run() -> None:
        reader = asyncio.StreamReader(limit=limit)
        reader.feed_data(data)
        reader.feed_eof()
        await pass_on(reader, device="cuda:1", is_json=is_json)

    asyncio.run(run())


def passed(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == verbatim.name]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    records = [record for record in caplog.records if record.name != verbatim.name]
    return [(r.getMessage(), r.device, getattr(r, "line", "")) for r in records]


def test_a_log_line_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    passed_on(b'{"message": "ready"}\n', is_json=True)
    assert passed(caplog) == ['{"message": "ready"}']
    assert said(caplog) == []


def test_any_other_line_becomes_a_record_where_the_log_is_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        passed_on(b'LZWDecode: Not enough data.\n\n{"a": 1}\nno end \xff', is_json=True)
    assert passed(caplog) == ['{"a": 1}']
    assert said(caplog) == [
        ("a worker wrote to stderr", "cuda:1", "LZWDecode: Not enough data."),
        ("a worker wrote to stderr", "cuda:1", "no end \\xff"),
    ]


def test_text_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    passed_on(b"Traceback:\n\n  File\n", is_json=False)
    assert passed(caplog) == ["Traceback:", "", "  File"]


def test_a_line_beyond_the_limit_is_left_out_and_the_next_one_passes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        passed_on(b"x" * 50 + b"\nnext\n", is_json=False, limit=20)
    assert passed(caplog) == ["next"]
    assert said(caplog) == [("a line of a worker is too long", "cuda:1", "")]
