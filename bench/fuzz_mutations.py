"""The series of spoilt pictures: a seed and a number always make the same bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fuzz_bytes import BLIND, splice
from fuzz_headers import KNOWING
from fuzz_seeds import SeedPicture
from fuzz_structures import STRUCTURES

_MOST_MUTATIONS = 4


def mutated(seeds: Sequence[SeedPicture], seed: int, number: int) -> tuple[SeedPicture, bytes]:
    """Return case `number` of the series `seed`: what it was made of, and the bytes."""
    draw = random.Random(f"{seed}/{number}")
    origin = draw.choice(seeds)
    data = origin.data
    known = KNOWING[origin.format] + STRUCTURES.get(origin.format, ())
    for _ in range(draw.randint(1, _MOST_MUTATIONS)):
        kind = draw.random()
        if kind < 0.1:
            data = splice(data, draw.choice(seeds).data, draw)
        elif kind < 0.55:
            data = draw.choice(BLIND)(data, draw)
        else:
            data = draw.choice(known)(data, draw)
    return origin, data
