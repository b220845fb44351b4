"""Which devices the workers get. PyTorch is asked in a process of its own, never imported here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from service.configuration.model_spec import ModelSpec
from service.configuration.settings import Settings

# Where a driver shows itself: Linux, Linux without /proc/driver, WSL.
_TRACES = (Path("/proc/driver/nvidia"), Path("/dev/nvidia0"), Path("/dev/dxg"))
_QUESTION = "import torch; print(torch.cuda.device_count())"
_ANSWER_TIMEOUT_S = 300


def settle_devices(settings: Settings) -> Settings:
    """Return the settings with devices that are there in place of "auto", each model's too.

    Raises:
        ValueError: a device is not there, or a model is to run where the server does not.
    """
    devices = find_devices(settings.devices)
    models = [
        model.model_copy(update={"devices": _devices_of(model, devices)})
        for model in settings.models
    ]
    return settings.model_copy(update={"devices": devices, "models": tuple(models)})


def _devices_of(model: ModelSpec, devices: tuple[str, ...]) -> tuple[str, ...]:
    if model.devices in (None, ("auto",)):
        return devices
    if strange := [device for device in model.devices or () if device not in devices]:
        raise ValueError(
            f"the model {model.written!r} is to run on {', '.join(strange)}; "
            f"devices are {', '.join(devices)}"
        )
    return model.devices or devices


def find_devices(
    wanted: Sequence[str],
    *,
    traces: Sequence[Path] = _TRACES,
    count: Callable[[], int] | None = None,
) -> tuple[str, ...]:
    """Return the devices to use: "cpu", or "cuda:N" each.

    Args:
        wanted: as in the settings; "auto" is every CUDA device, or the CPU if there is none.
        traces: without any of these files there is no driver, and "auto" needs no question.
        count: says how many CUDA devices there are; None asks PyTorch.
    Raises:
        ValueError: one of them is not there, or PyTorch cannot be asked.
    """
    ask = count or count_cuda_devices
    if tuple(wanted) == ("auto",):
        num_cuda = ask() if any(trace.exists() for trace in traces) else 0
        return tuple(f"cuda:{number}" for number in range(num_cuda)) or ("cpu",)
    numbers = [int(device.removeprefix("cuda:")) for device in wanted if device != "cpu"]
    if numbers and (num_cuda := ask()) <= max(numbers):
        shown = ", ".join(f"cuda:{number}" for number in range(num_cuda)) or "none"
        raise ValueError(
            f"devices has cuda:{max(numbers)}; the CUDA devices that PyTorch sees here: {shown}"
        )
    return tuple(wanted)


def count_cuda_devices() -> int:
    """Return how many CUDA devices PyTorch sees. Raises ValueError if it does not answer."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
            check=True,
        )
        return int(answer.stdout)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
    except (subprocess.TimeoutExpired, ValueError) as error:
        reason = str(error)
    raise ValueError(f"cannot ask PyTorch for CUDA devices: {reason}")
