"""Curves on TensorBoard and on Weights & Biases, where they are installed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.train.outputs.progress import Board

logger = logging.getLogger(__name__)


class TensorBoard:
    """Curves in a folder that `tensorboard --logdir` shows."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name.replace("loss_", "loss/"), value, iteration)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases:
    """Curves in a project of Weights & Biases; the package reads the user's own key.

    Raises:
        ValueError: the package is missing.
    """

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ValueError("--wandb needs a package: pip install wandb") from None
        self._run: Any = wandb.init(
            project=project, name=folder.name, dir=str(folder), config=dict(settings)
        )

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Add one point to each curve."""
        self._run.log(dict(values), step=iteration)

    def close(self) -> None:
        """End the run there."""
        self._run.finish()


def open_boards(
    folder: Path, project: str | None, settings: Mapping[str, Any]
) -> tuple[Board, ...]:
    """Return TensorBoard's if it is installed, and Weights & Biases' if a project is given.

    Raises:
        ValueError: a project is given and the package is missing.
    """
    boards: list[Board] = []
    try:
        boards.append(TensorBoard(folder / "tensorboard"))
    except ImportError:
        logger.info("no TensorBoard here; pip install tensorboard brings it")
    if project is not None:
        boards.append(WeightsAndBiases(project, folder, settings))
    return tuple(boards)
