from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from model.train.samples.order import batches

IS_WIDE = np.arange(23) % 3 > 0  # 15 wide, 8 high


def test_a_batch_is_all_wide_or_all_high() -> None:
    for batch in islice(batches(IS_WIDE, 4, 0), 100):
        assert len({bool(IS_WIDE[key.picture]) for key in batch}) == 1


def test_every_pass_has_every_picture_once() -> None:
    # 4 × 23 pictures of one shape or the other; 60 wide and 32 high ones fill batches of 4.
    seen = [key for batch in islice(batches(IS_WIDE, 4, 0), 23) for key in batch]
    assert Counter(seen) == Counter((e, i) for e in range(4) for i in range(23))


def test_order_depends_on_the_seed_and_the_pass() -> None:
    def order(seed: int) -> list[int]:
        return [batch[0].picture for batch in islice(batches(np.ones(23, bool), 1, seed), 46)]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0)[:23] != order(0)[23:]


@pytest.mark.parametrize("start", [1, 5, 17, 200])
def test_batches_go_on_anywhere(start: int) -> None:
    expected = list(islice(batches(IS_WIDE, 4, 3), start, start + 12))
    assert list(islice(batches(IS_WIDE, 4, 3, start=start), 12)) == expected


def test_one_picture_fills_a_batch_over_several_passes() -> None:
    (batch,) = islice(batches(np.array([True]), 3, 0), 1)
    assert batch == [(0, 0), (1, 0), (2, 0)]
