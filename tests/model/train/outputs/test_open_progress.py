"""A bar needs a terminal that has a width; everything else gets lines."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tiny_training import tiny_training

from model.train.outputs import boards
from model.train.outputs.open_progress import has_room_for_a_bar, open_progress


@contextmanager
def _terminal(columns: int) -> Iterator[None]:
    """A terminal of that width as standard error."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(follower, "w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield
    os.close(leader)


def test_terminal_with_a_width_has_room_for_a_bar() -> None:
    with _terminal(80):
        assert has_room_for_a_bar()


def test_terminal_of_no_width_shows_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    args = argparse.Namespace(log_every=1, wandb=None)
    with _terminal(0), caplog.at_level(logging.INFO), ExitStack() as stack:
        assert not has_room_for_a_bar()
        progress = open_progress(args, tmp_path, tiny_training(), stack)
        progress.step(1, {"loss_mask": 1.0}, 0.01, 4)
    assert any(line.startswith("1/6  loss 1.0000") for line in caplog.messages)


def test_pipe_shows_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        monkeypatch.setattr(sys, "stderr", stream)
        assert not has_room_for_a_bar()


def test_missing_tensorboard_is_told_with_what_brings_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO):
        assert boards.open_boards(tmp_path, None, {}) == ()
    assert caplog.messages == ["no TensorBoard here; pip install tensorboard brings it"]
