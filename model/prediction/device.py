"""Where a network runs."""

from __future__ import annotations

import torch


def find_device(name: torch.device | str) -> torch.device:
    """Return the device of that name; "auto" is a CUDA device if there is one, else the CPU.

    Raises:
        ValueError: it is of another kind, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    refusal = ValueError(f"device {name}: give auto, cpu, cuda or cuda:1")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise refusal from None
    if device.type not in ("cpu", "cuda"):
        raise refusal
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device {name}: there are {count} CUDA devices; auto takes what there is")
    return device
