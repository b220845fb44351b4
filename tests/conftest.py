"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Threads that wait must not spin: tests share the machine with servers and workers of theirs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch folder for checkpoints regenerated from the golden manifests."""
    return tmp_path_factory.mktemp("golden")
