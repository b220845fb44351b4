from __future__ import annotations

import pytest
import torch
from torch import nn

from model.train.state.average import AveragedWeights


def _network(value: float) -> nn.BatchNorm1d:
    network = nn.BatchNorm1d(1)
    nn.init.constant_(network.weight, value)
    return network


def test_average_moves_by_one_minus_the_decay() -> None:
    average = AveragedWeights(_network(0.0), decay=0.1)
    # The first update's decay is min(0.1, 2 / 11) = 0.1.
    average.update(_network(10.0))
    assert average.tensors["weight"].item() == pytest.approx(9.0)


def test_early_average_forgets_its_start_faster() -> None:
    average = AveragedWeights(_network(0.0), decay=0.999)
    average.update(_network(11.0))
    # The decay is (1 + 1) / (10 + 1): 11 × 9 / 11.
    assert average.tensors["weight"].item() == pytest.approx(9.0)


def test_whole_numbers_are_the_latest() -> None:
    average = AveragedWeights(_network(0.0), decay=0.999)
    latest = _network(1.0)
    latest.num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    average.update(latest)
    assert average.tensors["num_batches_tracked"].item() == 7


def test_network_itself_stays_as_it_is() -> None:
    network = _network(3.0)
    average = AveragedWeights(network, decay=0.5)
    average.update(_network(5.0))
    assert network.weight.item() == 3.0


def test_saved_average_goes_on() -> None:
    one = AveragedWeights(_network(0.0), decay=0.999)
    one.update(_network(1.0))
    other = AveragedWeights(_network(8.0), decay=0.999)
    other.load_state_dict(one.state_dict())
    for average in (one, other):
        average.update(_network(2.0))
    assert torch.equal(one.tensors["weight"], other.tensors["weight"])


def test_another_networks_average_is_refused() -> None:
    average = AveragedWeights(_network(0.0), decay=0.5)
    with pytest.raises(ValueError, match="another network"):
        average.load_state_dict({"updates": 1, "tensors": {"else": torch.zeros(1)}})


def test_decay_outside_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        AveragedWeights(_network(0.0), decay=1.5)
