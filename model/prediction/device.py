"""Where a network runs."""

from __future__ import annotations

import torch


def find_device(name: torch.device | str) -> torch.device:
    """Return the device of that name; "auto" is a CUDA device if there is one, else the CPU.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name}: give auto, cpu, cuda or cuda:1") from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device {name}: there are {count} CUDA devices; auto takes what there is")
    return device
