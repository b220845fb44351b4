"""What trains, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from model.network.blendmask import BlendMask
from model.train.distributed.world import World, gathered, in_all_processes
from model.train.recipes.recipe import Recipe
from model.train.samples.batch import TrainingBatch
from model.train.state.average import AveragedWeights
from model.train.state.resume import random_states, set_random_states


class Losses(Protocol):
    """What judges a network on a batch, with a state of its own."""

    def __call__(
        self, model: BlendMask, batch: TrainingBatch, device: torch.device
    ) -> dict[str, Tensor]:
        """Return the weighted losses by name; their sum is what is minimised."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` brings back."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


class _LossStep(nn.Module):
    """The network and its losses as one module, so that one wrapper sees all that is computed."""

    def __init__(
        self,
        network: BlendMask,
        criterion: Losses,
        device: torch.device,
        precision: Literal["float32", "bf16"],
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion
        self.device = device
        self.use_bf16 = precision == "bf16"

    def forward(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Return the losses of one batch."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16):
            return self.criterion(self.network, batch, self.device)


@dataclass
class Training:
    """What trains, and how far it has come; `state` and `load_state` carry it over a stop.

    best: the score of the best weights so far, which are in a file of their own.
    score_threshold: what the last evaluation would read the network with; None before one.
    """

    network: BlendMask
    criterion: Losses
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    device: torch.device
    world: World
    iteration: int = 0
    best: float | None = None
    score_threshold: float | None = None
    skip_non_finite: bool = False
    num_skipped: int = 0

    def __post_init__(self) -> None:
        decay = self.recipe.ema_decay
        self.average = None if decay is None else AveragedWeights(self.network, decay)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.step: nn.Module = in_all_processes(
            _LossStep(self.network, self.criterion, self.device, self.recipe.precision),
            self.device,
        )

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The tensors to serve: the averaged ones where an average is kept."""
        return self.network.state_dict() if self.average is None else self.average.tensors

    def is_due(self, every: int) -> bool:
        """Whether it is time for what happens every so often, and at the end in any case."""
        is_last = self.iteration == self.recipe.iterations
        return is_last or (every > 0 and self.iteration % every == 0)

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on. Every process must call it."""
        return {
            "iteration": self.iteration,
            "score_threshold": self.score_threshold,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "criterion": self.criterion.state_dict(),
            "random": gathered(random_states(self.device)),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; generators of processes that were not there stay seeded."""
        self.iteration = int(state["iteration"])
        self.score_threshold = state.get("score_threshold")
        self.network.load_state_dict(state["network"])
        # Its groups come with the old recipe's decay and momentum; this run has its own.
        own = [{**group} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, values in zip(self.optimizer.param_groups, own, strict=True):
            group.update({name: v for name, v in values.items() if name != "params"})
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        elif self.average is not None:  # The first average begins where the network is now.
            self.average = AveragedWeights(self.network, self.average.decay)
        self.criterion.load_state_dict(state["criterion"])
        if self.world.rank < len(state["random"]):
            set_random_states(state["random"][self.world.rank], self.device)
