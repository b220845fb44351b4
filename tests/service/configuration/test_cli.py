from __future__ import annotations

from pathlib import Path

import pytest

from model.version import installed_version
from service.configuration.cli import parse_command_line
from service.configuration.settings import Settings, flag_of


def test_flags_are_kept_as_they_were_typed() -> None:
    line = (
        "--port 1 --max-body-bytes=64MiB --admin --no-url-input "
        "--override A 1 --override B 2 --model a=x --model b=y,z"
    )
    typed = parse_command_line(line.split())
    assert typed.flags == {
        "port": "1",
        "max_body_bytes": "64MiB",
        "admin": True,
        "url_input": False,
        "overrides": ["A", "1", "B", "2"],
        "models": ["a=x", "b=y,z"],
    }
    assert typed.file is None
    assert not typed.print_settings


def test_file_and_printing_are_no_settings() -> None:
    typed = parse_command_line(["--settings", "s.toml", "--print-settings"])
    assert (typed.flags, typed.file, typed.print_settings) == ({}, Path("s.toml"), True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wieghts", "x"], "there is no flag --wieghts; did you mean --weights?"),
        (["--max-bodybytes=1"], "there is no flag --max-bodybytes; did you mean --max-body-bytes?"),
        (["--no-admn"], "there is no flag --no-admn; did you mean --no-admin?"),
        (["--device", "cpu"], "there is no flag --device; did you mean --devices?"),
        (["--qqqq"], "there is no flag --qqqq"),
        (["--max-pixel", "3"], "there is no flag --max-pixel; did you mean --max-pixels?"),
        (["x.pth"], "'x.pth' belongs to no flag; did you mean --weights x.pth?"),
        (["--weights", "x", "y"], "'y' belongs to no flag"),
        (["--port"], "argument --port: expected one argument"),
    ],
)
def test_what_is_not_understood_is_told_on_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_command_line(arguments)
    assert str(refusal.value) == message


def test_help_is_grouped_and_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for group in ("Models:", "Devices:", "HTTP:", "Queue and batches:", "Security:", "Logging:"):
        assert f"\n{group}\n" in text
    for name in Settings.model_fields:
        assert flag_of(name).removeprefix("--") in text
    assert "[32MiB]" in text
    assert "BLENDMASK_MAX_PIXELS" in text
    assert "--max-batch-images N" in text
    assert max(map(len, text.splitlines())) <= 100


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"blendmask-server {installed_version()}\n"
