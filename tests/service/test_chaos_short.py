"""A short form of `tests/chaos`: the server is real, the workers need no network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import client_harm
import pytest
import surroundings_harm
import worker_harm
from chaos_server import Harm, Row, steady_pictures

HARM = Harm(
    weights=None,
    command=(str(Path(__file__).with_name("fake_server.py")),),
    num_kills=2,
    num_faults=1,
    num_malformed=150,
    pictures=steady_pictures(4, width=1),  # the worker takes 10 ms for a column
)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize(
    "scenario",
    [
        worker_harm.killed,
        worker_harm.reloaded,
        client_harm.vanishing,
        client_harm.malformed,
        surroundings_harm.terminated,
    ],
)
def test_no_request_is_lost_whatever_happens(scenario: Callable[[Harm], Row]) -> None:
    row = scenario(HARM)
    assert row.tally.sent > 0
    assert row.faults() == []
