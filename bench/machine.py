"""What a report says of the machine that it was made on."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import torch


def machine() -> str:
    """Say which processor and versions these are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return (
        f"{os.cpu_count()} cores of a shared x86-64 virtual machine ({model}), "
        f"torch {torch.__version__}, {datetime.date.today()}"
    )
