"""The order of the samples: a function of the seed alone.

It is one order for the whole run, of which each process takes its part. So it doesn't depend on
the number of processes or workers, and a run can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.train.samples.dataset import SampleKey


def batches(
    is_wide: np.ndarray, batch_size: int, seed: int, *, start: int = 0
) -> Iterator[list[SampleKey]]:
    """Yield keys of batches without end: each pass is shuffled, wide and high stay apart.

    What doesn't fill a batch at the end of a pass is the beginning of the next one's.

    Args:
        start: so many batches are left out.
    """
    if len(is_wide) == 0:
        raise ValueError("there are no pictures to make batches of")
    waiting = {True: np.empty((0, 2), np.int64), False: np.empty((0, 2), np.int64)}
    skip, epoch = start, 0
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(len(is_wide))
        full = []
        for wide in (True, False):
            places = np.flatnonzero(is_wide[order] == wide)
            new = np.stack((np.full(len(places), epoch), order[places]), axis=1)
            keys = np.concatenate((waiting[wide], new))
            count = len(keys) // batch_size
            # A batch is ready where its last picture stands in the shuffled order.
            ready = places[np.arange(1, count + 1) * batch_size - len(waiting[wide]) - 1]
            waiting[wide] = keys[count * batch_size :]
            grouped = keys[: count * batch_size].reshape(count, batch_size, 2)
            full += list(zip(ready.tolist(), grouped, strict=True))
        full.sort(key=lambda batch: batch[0])
        for _, keys in full[skip:]:
            yield [SampleKey(*key) for key in keys.tolist()]
        skip = max(0, skip - len(full))
        epoch += 1
