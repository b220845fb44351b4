"""Two gloo processes do what one does with all of their pictures."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import tiny_training
from torch import nn
from two_processes import (
    NUM_STEPS,
    constant_config,
    five_pictures,
    five_pictures_norm,
    steps,
    synchronised_config,
)

from model.train.distributed import world as distributed
from model.train.distributed.batch_norm import AllReduceBatchNorm
from model.train.distributed.world import World, synchronise_batch_norm, world_mean, world_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process found; they run once for all tests."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = Path(__file__).parent
    root = Path(distributed.__file__).parents[3]
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(map(str, (root, root / "tests"))),
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(here / "two_processes.py"), str(folder)],
            env={**environment, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _all_pictures() -> list[list[int]]:
    return [[4 * n + i for i in range(4)] for n in range(NUM_STEPS)]


@pytest.mark.parametrize("kind", ["synchronised", "constant"])
def test_two_processes_train_as_one_with_the_double_batch(
    results: list[dict[str, Any]], kind: str
) -> None:
    config = synchronised_config() if kind == "synchronised" else constant_config()
    alone = steps(config, World(), _all_pictures()).network.state_dict()
    # Targets are float32, and batches of so few pixels make much of the last bit of a statistic.
    atol = 1e-6 if kind == "synchronised" else 1e-9
    for result in results:
        for name, tensor in alone.items():
            torch.testing.assert_close(result[kind][name], tensor, rtol=1e-6, atol=atol)


def test_statistics_of_each_process_alone_would_show(results: list[dict[str, Any]]) -> None:
    alone = steps(synchronised_config(), World(), [p[:2] for p in _all_pictures()])
    name = "backbone.bottom_up.features.0.1.running_mean"
    difference = results[0]["synchronised"][name] - alone.network.state_dict()[name]
    assert difference.abs().max() > 1e-4


def test_training_went_somewhere(results: list[dict[str, Any]]) -> None:
    start = tiny_training(config=synchronised_config(), dtype=torch.float64).network.state_dict()
    name = "fcos_head.cls_logits.bias"
    assert not torch.allclose(results[0]["synchronised"][name], start[name], atol=1e-5)


def test_batch_norm_over_unequal_parts_is_that_of_the_whole(results: list[dict[str, Any]]) -> None:
    norm, whole = five_pictures_norm(), five_pictures().requires_grad_()
    out = norm(whole)
    (out * torch.arange(3)[:, None, None] * whole.detach().sign()).sum().backward()
    parts = [result["batch_norm"] for result in results]
    torch.testing.assert_close(torch.cat([part["out"] for part in parts]), out.detach())
    torch.testing.assert_close(torch.cat([part["gradient"] for part in parts]), whole.grad)
    for part in parts:
        for name, value in norm.state_dict().items():
            torch.testing.assert_close(part[name], value)


def test_process_without_objects_neither_hangs_nor_drifts(results: list[dict[str, Any]]) -> None:
    first, second = (result["empty_handed"] for result in results)
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)


def test_all_processes_stop_when_one_is_asked_to(results: list[dict[str, Any]]) -> None:
    assert [result["stopped"] for result in results] == [2, 2]


def test_all_processes_save_when_it_is_time_in_one(results: list[dict[str, Any]]) -> None:
    # At the second step, and at the end.
    assert [result["saved"] for result in results] == [[2, 3], [2, 3]]


def test_every_process_names_the_pictures_of_the_one_that_failed(
    results: list[dict[str, Any]],
) -> None:
    for result in results:
        assert "loss_mask is nan; pictures: 10, 11." in result["no_number"]


def test_each_process_keeps_its_random_state(results: list[dict[str, Any]]) -> None:
    assert results[0]["num_random_states"] == 2


def test_auxiliary_head_is_never_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    training = tiny_training()
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    names = set(training.network.state_dict())
    config = training.criterion.model_config  # type: ignore[attr-defined]
    synchronise_batch_norm(training.network, config, torch.device("cpu"))
    kinds = {
        name: type(module)
        for name, module in training.network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    plain = {name for name, kind in kinds.items() if kind is nn.BatchNorm2d}
    assert plain == {"basis_module.seg_head.1", "basis_module.seg_head.4"}
    assert AllReduceBatchNorm in kinds.values()
    assert set(training.network.state_dict()) == names


def test_one_process_is_a_world_of_its_own() -> None:
    assert world_of({}) == World(rank=0, size=1, local_rank=0)
    assert world_mean(torch.tensor([3.0])).item() == 3.0


def test_torchruns_environment_is_read() -> None:
    world = world_of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
    assert world == World(rank=5, size=8, local_rank=1)
    assert not world.is_main


def test_half_an_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="'RANK'"):
        world_of({"WORLD_SIZE": "2"})
