from __future__ import annotations

from pathlib import Path

import pytest

from service.configuration import devices
from service.configuration.devices import count_cuda_devices, find_devices, settle_devices
from service.configuration.settings import Settings

HERE = (Path(__file__),)  # a driver that shows itself


def never() -> int:
    raise AssertionError("PyTorch was asked")


def test_auto_without_a_driver_is_the_cpu_and_asks_nobody(tmp_path: Path) -> None:
    assert find_devices(["auto"], traces=[tmp_path / "driver"], count=never) == ("cpu",)


def test_auto_with_a_driver_is_every_cuda_device() -> None:
    assert find_devices(["auto"], traces=HERE, count=lambda: 2) == ("cuda:0", "cuda:1")


def test_auto_with_a_driver_but_no_device_is_the_cpu() -> None:
    assert find_devices(["auto"], traces=HERE, count=lambda: 0) == ("cpu",)


def test_cpu_asks_nobody() -> None:
    assert find_devices(["cpu"], traces=HERE, count=never) == ("cpu",)


def test_devices_that_are_there_keep_their_order() -> None:
    assert find_devices(["cuda:1", "cuda:0"], traces=HERE, count=lambda: 2) == ("cuda:1", "cuda:0")


@pytest.mark.parametrize(
    ("number", "message"), [(0, "cuda:1; .* sees here: none"), (1, "cuda:1; .* here: cuda:0$")]
)
def test_device_that_is_not_there_is_refused(number: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_devices(["cuda:0", "cuda:1"], traces=HERE, count=lambda: number)


def test_models_get_the_devices_of_the_server_or_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_devices", lambda wanted: ("cuda:0", "cuda:1"))
    models = (
        {"name": "a", "weights": "x"},
        {"name": "b", "weights": "y", "devices": "cuda:1"},
        {"name": "c", "weights": "z", "devices": "auto"},
    )
    settings = settle_devices(Settings(models=models))
    assert settings.devices == ("cuda:0", "cuda:1")
    assert [model.devices for model in settings.models] == [
        ("cuda:0", "cuda:1"),
        ("cuda:1",),
        ("cuda:0", "cuda:1"),
    ]


def test_model_on_a_device_that_auto_does_not_find_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "find_devices", lambda wanted: ("cpu",))
    settings = Settings(models=({"name": "a", "weights": "x", "devices": "cuda"},))
    with pytest.raises(ValueError, match="'a' is to run on cuda:0; devices are cpu"):
        settle_devices(settings)


def test_count_is_what_the_process_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_QUESTION", "print(3)")
    assert count_cuda_devices() == 3


@pytest.mark.parametrize(
    ("program", "message"),
    [("raise SystemExit('no such library')", "no such library"), ("print('x')", "invalid literal")],
)
def test_process_that_does_not_answer_is_refused(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_QUESTION", program)
    with pytest.raises(ValueError, match=message):
        count_cuda_devices()
