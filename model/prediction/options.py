"""What a caller of `Predictor` wants of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.structures import SCORE_DECIMALS


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What to keep of what the configuration yields for one picture.

    score_threshold: instances with a score, rounded as it is told, at or above it. So a score
        that was told keeps its own instance when it becomes the threshold.
    max_instances: the best so many of the wanted ones. None: all.
    category_ids: the data set's own ids of the wanted categories. None: all.
    masks: whether to compute run lengths.

    A partition is always that of the whole picture: the threshold decides which things enter
    it (above the configuration's own for that); what the number and the categories drop from
    it is void.
    """

    score_threshold: float = 0.0
    max_instances: int | None = None
    category_ids: frozenset[int] | None = None
    masks: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold is {self.score_threshold}; it must be 0 to 1")
        if self.max_instances is not None and self.max_instances < 1:
            raise ValueError(f"max_instances is {self.max_instances}; it must be 1 or more")
        ids: Iterable[object] = self.category_ids or ()
        for one in ids:
            if isinstance(one, str):
                raise ValueError(f"category_ids has {one!r}; Categories.ids(name, …) gives ids")

    @property
    def least_score(self) -> float:
        """The least score, not rounded, that is kept."""
        unit = 10.0**-SCORE_DECIMALS
        return max(0.0, (math.ceil(self.score_threshold / unit - 1e-3) - 0.5) * unit)


EVERYTHING = PredictOptions()


def one_each(
    options: PredictOptions | Sequence[PredictOptions], number: int
) -> Sequence[PredictOptions]:
    """Return so many options, one for each picture. ValueError if there are more or fewer."""
    if isinstance(options, PredictOptions):
        return [options] * number
    if not isinstance(options, Sequence):
        raise ValueError(f"options is {options!r}; PredictOptions(score_threshold=…), say")
    if len(options) != number:
        raise ValueError(f"there are {number} pictures but {len(options)} options")
    return options


def usual_batch_size(device_type: str) -> int:
    """Return how many pictures to give a predictor at once; on a processor more gain nothing."""
    return 8 if device_type == "cuda" else 1
