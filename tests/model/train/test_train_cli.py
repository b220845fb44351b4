"""From a user's JSON file to a served network, by the command line."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy_data

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.prediction.predictor import Predictor
from model.train import __main__ as command
from model.train.distributed.world import World, choose_device
from model.train.outputs import save_timer, validation
from model.train.state.resume import load_state

pytestmark = pytest.mark.usefixtures("one_thread")

_QUICK = ["--config", "small", "--short-side", "64", "--workers", "0", "--batch-size", "2"]
_QUICK += ["--device", "cpu", "--log-every", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four pictures with a cup, a spoon and a plate in each."""
    rows = [
        toy_data.rectangle(image, category, 10 * n, 8 * n, 30, 24)
        for image in (1, 2, 3, 4)
        for n, category in enumerate((3, 7, 20))
    ]
    return str(toy_data.write(tmp_path_factory.mktemp("toy"), [(64, 80)] * 4, rows))


@pytest.fixture(scope="module")
def trained(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, evaluated on its own data."""
    folder = tmp_path_factory.mktemp("run")
    args = [*_QUICK, "--data", data, "--eval-data", data, "--iterations", "2", "--pictures", "1"]
    assert command.main([*args, "--output", str(folder)]) == 0
    return folder


def _last(folder: Path) -> Checkpoint:
    return checkpoint.load(folder / "last.safetensors")


def test_trained_network_predicts_the_users_classes(trained: Path) -> None:
    predictor = Predictor.from_checkpoint(_last(trained), device="cpu")
    assert [thing.name for thing in predictor.categories.things] == ["cup", "spoon", "plate"]
    (found,) = predictor.segment([toy_data.noise(64, 80)])
    assert (found.height, found.width) == (64, 80)


def test_checkpoint_says_how_it_came_about(trained: Path) -> None:
    provenance = _last(trained).provenance
    overrides = json.loads(provenance["overrides"])
    assert overrides["iterations"] == "2"
    assert overrides["short_side"] == "64"
    assert json.loads(provenance["recipe"])["batch_size"] == 2
    assert provenance["data"] == "instances_train.json: 4 pictures"
    assert provenance["weights"] == "averaged"


def test_checkpoint_tells_no_folder_of_the_machine(trained: Path) -> None:
    assert str(trained.parent) not in json.dumps(_last(trained).provenance)


def test_run_leaves_curves_a_report_and_pictures(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [1, 2, 2]
    assert {"loss_mask", "learning_rate", "images_per_s", "data_wait_share"} <= set(rows[0])
    assert "mask_AP" in rows[2]
    report = json.loads((trained / "evaluations.jsonl").read_text())
    assert report["iteration"] == 2
    assert (trained / "samples" / "0000002" / "001.jpg").stat().st_size > 0
    assert json.loads(checkpoint.load(trained / "best.safetensors").provenance["evaluation"])


def test_trained_network_is_evaluated_alone(
    trained: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--eval-only", "--weights", str(trained / "last.safetensors"), "--eval-data", data]
    assert command.main([*args, "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"]["measured"] == 4


def test_evaluation_without_objects_says_why_and_fails(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crowd = {**toy_data.rectangle(1, 3, 0, 0, 30, 24), "iscrowd": 1}
    data = toy_data.write(tmp_path, [(64, 80)], [crowd])
    args = ["--eval-only", "--weights", str(trained / "last.safetensors"), "--eval-data", str(data)]
    assert command.main([*args, "--device", "cpu"]) == 1
    assert "instances_train.json are crowds (iscrowd: 1)" in capsys.readouterr().err


def test_trained_network_is_a_start(trained: Path, data: str, tmp_path: Path) -> None:
    args = ["--weights", str(trained / "best.safetensors"), "--data", data, "--iterations", "1"]
    quick = ["--workers", "0", "--batch-size", "2", "--device", "cpu"]
    assert command.main([*args, *quick, "--output", str(tmp_path)]) == 0
    last = _last(tmp_path)
    assert last.config == _last(trained).config
    assert last.provenance["starting_point"] == "best.safetensors"


def test_stopped_and_resumed_run_ends_with_the_same_bytes(data: str, tmp_path: Path) -> None:
    args = [*_QUICK, "--data", data, "--steps", "3", "--warmup", "2", "--train-sides", "48,64"]
    args += ["--crop", "--colour-jitter", "0.2"]
    for folder, more in (
        ("straight", ["--iterations", "4"]),
        ("stopped", ["--iterations", "2"]),
        ("stopped", ["--iterations", "4", "--resume"]),
    ):
        assert command.main([*args, *more, "--output", str(tmp_path / folder)]) == 0
    straight, stopped = _last(tmp_path / "straight"), _last(tmp_path / "stopped")
    for name, tensor in straight.tensors.items():
        assert tensor.numpy().tobytes() == stopped.tensors[name].numpy().tobytes(), name


def test_adamw_and_channels_last_resume_with_the_same_bytes(data: str, tmp_path: Path) -> None:
    args = [*_QUICK, "--data", data, "--optimizer", "adamw", "--channels-last"]
    args += ["--steps", "3", "--warmup", "2"]
    for folder, more in (
        ("straight", ["--iterations", "3"]),
        ("stopped", ["--iterations", "2"]),
        ("stopped", ["--iterations", "3", "--resume"]),
    ):
        assert command.main([*args, *more, "--output", str(tmp_path / folder)]) == 0
    straight, stopped = _last(tmp_path / "straight"), _last(tmp_path / "stopped")
    assert '"kind": "adamw"' in straight.provenance["recipe"]
    for name, tensor in straight.tensors.items():
        assert tensor.numpy().tobytes() == stopped.tensors[name].numpy().tobytes(), name


def test_another_batch_size_goes_on_by_pictures(
    data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = [*_QUICK, "--data", data, "--output", str(tmp_path)]
    assert command.main([*args, "--epochs", "2"]) == 0
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert command.main([*args, "--epochs", "4", "--batch-size", "4", "--resume"]) == 0
    # 4 steps of 2 pictures are 2 of 4.
    assert "the run goes on from iteration 2; 2 of 4 are left" in caplog.messages
    assert _last(tmp_path).provenance["iteration"] == "4 of 4"
    assert "start afresh" not in caplog.text
    assert "starts at random" not in caplog.text
    # The rows of before count other steps: they are kept, but not with these.
    for name, expected in (("metrics.before-1.jsonl", [1, 2, 3, 4]), ("metrics.jsonl", [3, 4])):
        rows = (tmp_path / name).read_text().splitlines()
        assert [json.loads(row)["iteration"] for row in rows] == expected


@pytest.mark.parametrize(
    ("given", "difference"),
    [
        (["--optimizer", "adamw"], "optimizer: sgd -> adamw"),
        (["--freeze", "backbone"], "frozen_parts: [] -> ['backbone']"),
        (["--freeze-at", "2"], "freeze_at: 0 -> 2"),
    ],
)
def test_state_of_another_optimiser_is_refused(
    trained: Path, data: str, capsys: pytest.CaptureFixture[str], given: list[str], difference: str
) -> None:
    args = [*_QUICK, "--data", data, "--output", str(trained), "--resume", "--iterations", "3"]
    assert command.main([*args, *given]) == 2
    assert f"or other frozen parts: {difference};" in capsys.readouterr().err


def test_other_data_are_said_on_resuming(
    trained: Path, data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [toy_data.rectangle(1, category, 10, 8, 30, 24) for category in (3, 7, 20)]
    other = toy_data.write(tmp_path, [(64, 80)], rows)
    args = [*_QUICK, "--data", str(other), "--output", str(trained), "--resume"]
    assert command.main([*args, "--iterations", "1"]) == 0
    expected = "the run goes on with other data: instances_train.json: 4 pictures -> "
    assert f"{expected}instances_train.json: 1 pictures" in caplog.messages


def test_evaluations_that_come_again_stand_there_once(
    trained: Path, data: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    evaluations = folder / "evaluations.jsonl"
    killed_later = evaluations.read_text() + '{"iteration": 3}\n{"iterat'
    evaluations.write_text(killed_later)
    args = [*_QUICK, "--data", data, "--eval-data", data, "--output", str(folder), "--resume"]
    assert command.main([*args, "--iterations", "3"]) == 0
    rows = [json.loads(line) for line in evaluations.read_text().splitlines()]
    assert [(row["iteration"], "mask" in row) for row in rows] == [(2, True), (3, True)]


def test_resumed_run_that_is_over_says_so(
    trained: Path, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    args = [*_QUICK, "--data", data, "--output", str(trained), "--resume"]
    before = (trained / "last.safetensors").read_bytes()
    assert command.main([*args, "--iterations", "1", "--batch-size", "4"]) == 0
    message = "nothing is left to do: 2 steps are done, and 1 were asked for"
    assert any(line.startswith(message) for line in caplog.messages)
    assert (trained / "last.safetensors").read_bytes() == before


def test_start_says_what_starts_afresh_and_how_often_it_is_evaluated(
    data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = [*_QUICK, "--data", data, "--eval-data", data, "--output", str(tmp_path)]
    with caplog.at_level(logging.INFO):
        assert command.main([*args, "--iterations", "3", "--evaluate-every", "2"]) == 0
    assert "tensors start afresh: " in caplog.text
    assert "evaluated every 2 steps and at the end" in caplog.messages
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [2, 3]


def test_schedule_that_the_run_is_too_short_for_is_warned_of(
    data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = [*_QUICK, "--data", data, "--output", str(tmp_path), "--iterations", "1"]
    assert command.main([*args, "--steps", "600,800", "--warmup", "9"]) == 0
    assert "the learning rate never drops: its steps (600, 800) are beyond" in caplog.text
    assert "its warm-up of 9 steps is longer than the run" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--epochs", "inf"], "'inf' is not a number"),
        (["--seed", str(2**40)], "is not a whole number from 0 to 2.14748e"),
        (["--scale-jitter", "1.6", "0.4"], "the lower factor, above 0, comes first"),
    ],
)
def test_absurd_numbers_are_refused_at_once(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main([*_QUICK, "--data", "mine.json", *given])
    assert message in capsys.readouterr().err


def test_run_saves_soon_after_its_start(
    data: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(save_timer, "_FIRST_AFTER_S", 0.0)
    args = [*_QUICK, "--data", data, "--output", str(tmp_path), "--iterations", "3"]
    with caplog.at_level(logging.INFO):
        assert command.main(args) == 0
    saves = [line.rpartition(" ")[2] for line in caplog.messages if line.startswith("saved ")]
    assert saves == ["1", "3"]


def test_resumed_run_keeps_the_best_weights_until_there_are_better_ones(
    trained: Path, data: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    before = checkpoint.load(folder / "best.safetensors").provenance
    args = [*_QUICK, "--data", data, "--eval-data", data, "--output", str(folder), "--resume"]
    assert command.main([*args, "--iterations", "3"]) == 0
    report = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
    assert (report["iteration"], report["mask"]["AP"]) == (3, 0.0)
    assert checkpoint.load(folder / "best.safetensors").provenance == before


def test_evaluation_that_failed_is_made_up_for_on_resuming(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = [*_QUICK, "--data", data, "--eval-data", data, "--output", str(tmp_path)]
    args += ["--iterations", "2"]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no more room")

    with monkeypatch.context() as patch:
        patch.setattr(validation, "evaluate", broken)
        assert command.main(args) == 0
    assert not (tmp_path / "best.safetensors").exists()
    for _ in range(2):
        assert command.main([*args, "--resume"]) == 0
        (line,) = (tmp_path / "evaluations.jsonl").read_text().splitlines()
        assert json.loads(line)["iteration"] == 2
    assert checkpoint.load(tmp_path / "best.safetensors").provenance["iteration"] == "2 of 2"


def test_folder_with_a_run_is_not_overwritten(
    trained: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [*_QUICK, "--data", data, "--iterations", "2"]
    assert command.main([*args, "--output", str(trained)]) == 2
    assert "--resume goes on with it" in capsys.readouterr().err


def test_missing_data_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main([*_QUICK, "--data", "nowhere.json", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_check_data_is_a_command_of_its_own(data: str) -> None:
    assert command.main(["check-data", "--data", data]) == 0


def test_ctrl_c_at_the_terminal_saves_and_ends(data: str, tmp_path: Path) -> None:
    root = Path(command.__file__).parents[2]
    args = [*_QUICK, "--data", data, "--iterations", "100000", "--output", str(tmp_path)]
    args[args.index("--workers") + 1] = "1"
    process = subprocess.Popen(
        [sys.executable, "-m", "model.train", *args],
        stderr=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        text=True,
    )
    assert process.stderr is not None
    with process:
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "/100000" in line:
                    # A terminal sends it to every process of the group, the loader's too.
                    os.killpg(process.pid, signal.SIGINT)
                    break
            lines += process.stderr.read().splitlines(keepends=True)
            code = process.wait(timeout=120)
        finally:
            process.kill()
    assert code == 130, "".join(lines)
    state = load_state(tmp_path)
    assert state is not None
    assert state["iteration"] == _iteration(_last(tmp_path))


def test_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="cuda:99"):
        choose_device("cuda:99", World())
    with pytest.raises(ValueError, match="abacus"):
        choose_device("abacus", World())


def _iteration(saved: Checkpoint) -> int:
    return int(saved.provenance["iteration"].split()[0])


def test_data_that_cannot_be_evaluated_on_end_the_run_before_its_first_step(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = [{"id": row["id"] - 1, "name": row["name"]} for row in toy_data.THREE]
    rows = [toy_data.rectangle(1, 2, 4, 4, 20, 20)]
    other = toy_data.write(tmp_path / "val", [(64, 80)], rows, categories=moved)
    args = [*_QUICK, "--data", data, "--eval-data", str(other), "--iterations", "1"]
    assert command.main([*args, "--output", str(tmp_path / "run")]) == 2
    assert "none agree in id and name" in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_pictures_without_objects_and_three_hundred_classes_are_trained_on(tmp_path: Path) -> None:
    categories = [{"id": i, "name": f"c{i}"} for i in range(1, 301)]
    rows = [toy_data.rectangle(1, 300, 4, 4, 30, 24), toy_data.rectangle(1, 255, 30, 4, 30, 24)]
    data = toy_data.write(tmp_path, [(64, 80)] * 2, rows, categories=categories)
    args = [*_QUICK, "--data", str(data), "--keep-empty", "--crop", "--iterations", "2"]
    assert command.main([*args, "--output", str(tmp_path / "run")]) == 0
    story = _last(tmp_path / "run").provenance
    assert story["data"] == "instances_train.json: 2 pictures"
    assert json.loads(story["overrides"])["keep_empty"] == "true"
