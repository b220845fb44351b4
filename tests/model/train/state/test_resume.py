"""A stopped run goes on bit for bit, whatever it was killed in the middle of."""

from __future__ import annotations

import os
import pickle
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import (
    CPU,
    batches_from,
    keeper_in,
    run,
    tiny_recipe,
    tiny_training,
    weights_of,
)

from model.files import clear_partial_files
from model.train.interrupt import StopRequest
from model.train.outputs.save_timer import SaveTimer, saver
from model.train.recipes.recipe import OptimizerConfig
from model.train.state import resume
from model.train.state.resume import (
    RESUME_FILE,
    SaveError,
    load_state,
    random_states,
    save_state,
    set_random_states,
)
from model.train.state.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


def test_three_steps_and_three_more_are_six_steps_bit_for_bit(tmp_path: Path) -> None:
    recipe = tiny_recipe(ema_decay=0.9)
    straight = tiny_training(recipe)
    run(straight)

    first = tiny_training(tiny_recipe(ema_decay=0.9, iterations=3))
    run(first, keeper=keeper_in(tmp_path))
    state = load_state(tmp_path)
    assert state is not None
    second = tiny_training(recipe)
    second.load_state(state)
    assert second.iteration == 3
    run(second, batches_from(3))

    assert weights_of(second) == weights_of(straight)
    assert second.average is not None
    assert straight.average is not None
    for name, tensor in straight.average.tensors.items():
        assert torch.equal(second.average.tensors[name], tensor), name
    for mine, theirs in zip(second.parameters, straight.parameters, strict=True):
        momentum = second.optimizer.state[mine]["momentum_buffer"]
        assert torch.equal(momentum, straight.optimizer.state[theirs]["momentum_buffer"])


def test_average_that_begins_on_resuming_begins_with_the_trained_weights(tmp_path: Path) -> None:
    first = tiny_training(tiny_recipe(iterations=3))
    run(first)
    second = tiny_training(tiny_recipe(ema_decay=0.9))
    second.load_state(first.state())
    assert second.average is not None
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(second.average.tensors[name], tensor), name


def test_decay_and_momentum_are_the_run_s_own_on_resuming() -> None:
    first = tiny_training()
    recipe = tiny_recipe(optimizer=OptimizerConfig(momentum=0.5, weight_decay=0.25))
    second = tiny_training(recipe)
    second.load_state(first.state())
    assert {group["momentum"] for group in second.optimizer.param_groups} == {0.5}
    assert 0.25 in {group["weight_decay"] for group in second.optimizer.param_groups}


def test_criterion_state_comes_back(tmp_path: Path) -> None:
    training = tiny_training()
    training.criterion.load_state_dict({"moving_positives": 41.5})
    save_state(tmp_path, training.state())
    other = tiny_training()
    state = load_state(tmp_path)
    assert state is not None
    other.load_state(state)
    assert other.criterion.state_dict()["moving_positives"] == 41.5


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    save_state(tmp_path, {"random": random_states(CPU)})
    before = (random.random(), np.random.normal(), torch.rand(2).tolist())
    state = load_state(tmp_path)
    assert state is not None
    set_random_states(state["random"], CPU)
    assert (random.random(), np.random.normal(), torch.rand(2).tolist()) == before


def test_folder_without_a_run_has_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None


@pytest.mark.parametrize("failing_rename", [1, 2])
def test_save_killed_at_a_rename_leaves_a_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_rename: int
) -> None:
    save_state(tmp_path, {"iteration": 1})
    replace, calls = Path.replace, 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing_rename:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, {"iteration": 2})
    monkeypatch.undo()
    state = load_state(tmp_path)
    assert state is not None
    assert state["iteration"] == 1
    assert not list(tmp_path.glob(".*"))


def test_truncated_file_gives_way_to_the_one_before(tmp_path: Path) -> None:
    save_state(tmp_path, {"iteration": 1})
    path = save_state(tmp_path, {"iteration": 2, "network": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:700])
    state = load_state(tmp_path)
    assert state is not None
    assert state["iteration"] == 1


def test_nothing_readable_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / RESUME_FILE).write_bytes(b"no zip file")
    with pytest.raises(ValueError, match="can be resumed from"):
        load_state(tmp_path)


def test_file_that_asks_to_run_something_is_not_obeyed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "pwned"),))

    torch.save({"format_version": 1, "evil": Evil()}, tmp_path / RESUME_FILE)
    with pytest.raises(ValueError, match="can be resumed from"):
        load_state(tmp_path)
    assert not (tmp_path / "pwned").exists()
    with (tmp_path / RESUME_FILE).open("wb") as file:
        pickle.dump(Evil(), file, protocol=2)
    with pytest.raises(ValueError, match="can be resumed from"):
        load_state(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_no_room_is_said_and_the_files_before_stay_whole(tmp_path: Path) -> None:
    save_state(tmp_path, {"iteration": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(SaveError, match=r"resume\.pt cannot be written: File too large"):
            save_state(tmp_path, {"iteration": 2, "network": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    state = load_state(tmp_path)
    assert state is not None
    assert state["iteration"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [RESUME_FILE]


def test_half_written_files_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".last.safetensors.1234.part").write_bytes(b"half")
    (tmp_path / "last.safetensors").write_bytes(b"whole")
    clear_partial_files(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


_SAVE_FOR_EVER = """
import sys, torch
from pathlib import Path
from model.train.state.resume import save_state
iteration = 0
while True:
    iteration += 1
    network = torch.full((300_000,), iteration)
    save_state(Path(sys.argv[1]), {"iteration": iteration, "network": network})
    print(iteration, flush=True)
"""


def test_sigkill_while_saving_leaves_a_whole_state(tmp_path: Path) -> None:
    root = Path(resume.__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", _SAVE_FOR_EVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    with process:
        assert process.stdout is not None
        saved = 0
        while saved < 3:
            saved = int(process.stdout.readline())
        # Whichever moment of the next save this hits, a whole state must be there.
        process.send_signal(signal.SIGKILL)
    state = load_state(tmp_path)
    assert state is not None
    assert state["iteration"] >= saved
    assert (state["network"] == state["iteration"]).all()


class _FullDisk:
    def save(self, training: Training) -> None:
        raise SaveError("no space left")


def test_training_goes_on_after_a_save_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    training = tiny_training()
    training.iteration = 3
    saver(_FullDisk(), training, StopRequest(), SaveTimer())()  # type: ignore[arg-type]
    assert caplog.messages == ["not saved, training goes on: no space left"]


def test_last_save_must_not_fail() -> None:
    training = tiny_training()
    training.iteration = training.recipe.iterations
    with pytest.raises(SaveError):
        saver(_FullDisk(), training, StopRequest(), SaveTimer())()  # type: ignore[arg-type]
