from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from model.train.outputs.row_file import append_row, iterations_in, keep_rows_until


def test_rows_after_the_state_that_a_run_resumes_from_go(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for iteration in (2, 4, 6):
        append_row(path, {"iteration": iteration, "loss": iteration / 2})
    keep_rows_until(path, 4)
    append_row(path, {"iteration": 6, "loss": 9})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"iteration": 2, "loss": 1.0},
        {"iteration": 4, "loss": 2.0},
        {"iteration": 6, "loss": 9},
    ]


def test_what_a_killed_process_left_of_a_row_goes(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"iteration": 1}\n\xff\xfe\n[3]\n{"iteration": 2, "lo')
    assert iterations_in(path) == {1}
    keep_rows_until(path, 5)
    assert path.read_bytes() == b'{"iteration": 1}\n'


def test_file_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    keep_rows_until(path, 5)
    assert iterations_in(path) == set()
    assert not path.exists()


def test_row_that_finds_no_room_leaves_no_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    program = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from model.train.outputs.row_file import append_row\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))\n"
        "path = Path(sys.argv[1])\n"
        "append_row(path, {'iteration': 1})\n"
        "append_row(path, {'iteration': 2, 'words': 'w' * 40})\n"
        "append_row(path, {'iteration': 3})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert path.read_text() == '{"iteration": 1}\n{"iteration": 3}\n'
    assert "cannot be written" in done.stderr
