"""Averaged weights: smoother than the last step's, and usually better."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The exponential moving average of a network's tensors; whole numbers are the latest.

    Early on the average forgets faster, `min(decay, (1 + n) / (10 + n))` at the nth update, so
    that the starting values do not linger.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"the decay of the averaged weights is {decay}; give one in (0, 1)")
        self.decay = decay
        self.updates = 0
        self.tensors: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards the network's present tensors."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in network.state_dict().items():
            average = self.tensors[name]
            if tensor.is_floating_point():
                average.lerp_(tensor, 1 - decay)
            else:
                average.copy_(tensor)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` brings back."""
        return {"updates": self.updates, "tensors": self.tensors}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it is another network's.
        """
        if set(state["tensors"]) != set(self.tensors):
            raise ValueError("the averaged weights in the file are those of another network")
        self.updates = int(state["updates"])
        for name, tensor in self.tensors.items():
            tensor.copy_(state["tensors"][name])
