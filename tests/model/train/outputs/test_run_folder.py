from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.train.outputs.run_folder import claimed

_HOLDER = (
    "import sys; from pathlib import Path\n"
    "from model.train.outputs.run_folder import claimed\n"
    "with claimed(Path(sys.argv[1]), resume=False):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_folder_is_one_runs_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        (folder / ".half.part").write_text("being written")
        with (
            pytest.raises(ValueError, match="another run is at work in"),
            claimed(folder, resume=True),
        ):
            pass
        assert (folder / ".half.part").exists()
        holder.kill()
    with claimed(folder, resume=True):  # whoever was killed holds nothing
        assert not (folder / ".half.part").exists()


@pytest.mark.parametrize("name", ["last.safetensors", "best.safetensors"])
def test_weights_without_a_state_are_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("weights")
    with (
        pytest.raises(ValueError, match=f"holds {name} of another run, and no state"),
        claimed(tmp_path, resume=False),
    ):
        pass


def test_weights_that_nothing_goes_on_from_are_put_aside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "last.safetensors").write_text(content)
        with claimed(tmp_path, resume=True):
            assert not (tmp_path / "last.safetensors").exists()
    assert (tmp_path / "last.before-1.safetensors").read_text() == "first"
    assert (tmp_path / "last.before-2.safetensors").read_text() == "second"


def test_state_of_which_only_the_one_before_is_left_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "resume.previous.pt").write_text("state")
    with (
        pytest.raises(ValueError, match="holds a run already"),
        claimed(tmp_path, resume=False),
    ):
        pass
    (tmp_path / "last.safetensors").write_text("weights")
    with claimed(tmp_path, resume=True):
        assert (tmp_path / "last.safetensors").exists()


def test_place_that_can_be_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with (
            pytest.raises(ValueError, match="cannot be a run's folder: "),
            claimed(folder, resume=False),
        ):
            pass
