"""What several tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch folder for checkpoints regenerated from the golden manifests."""
    return tmp_path_factory.mktemp("golden")
