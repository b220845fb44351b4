"""What a worker makes of a batch: groups of decoded pictures that can run together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.geometry import canvas_size
from model.structures import ImageBatch
from service.pool.messages import BatchItem
from service.worker.models import LoadedModel
from service.worker.report import BatchReport


@dataclass(frozen=True, kw_only=True)
class DecodedPicture:
    """A picture that can be run."""

    item: BatchItem
    image: np.ndarray


@dataclass(kw_only=True)
class Group:
    """Pictures of a batch that share canvas and task.

    canvas: (height, width) by the decoded pictures, whatever the headers said.
    batch: None until they are on the device.
    """

    model: LoadedModel
    canvas: tuple[int, int]
    pictures: Sequence[DecodedPicture]
    batch: ImageBatch | None = None

    @property
    def items(self) -> list[BatchItem]:
        """What the server said of the pictures."""
        return [picture.item for picture in self.pictures]

    @property
    def pixels(self) -> int:
        """The padded pixels of one picture."""
        return self.canvas[0] * self.canvas[1]

    def part(self, indices: Sequence[int]) -> Group:
        """Return a group of the pictures at those indices, prepared as far as this one is."""
        batch = None if self.batch is None or not indices else self.batch.part(indices)
        return replace(self, pictures=[self.pictures[i] for i in indices], batch=batch)

    def unprepared(self, pictures: Sequence[DecodedPicture]) -> Group:
        """Return a group of some of the pictures, to be prepared anew."""
        return replace(self, pictures=pictures, batch=None)


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """What there is to run of a batch, possibly nothing."""

    groups: list[Group]
    report: BatchReport

    @property
    def is_brief(self) -> bool:
        """Whether it is one picture, with an answer that is encoded in no time."""
        items = [item for group in self.groups for item in group.items]
        return len(items) == 1 and items[0].asked.is_brief


def grouped(model: LoadedModel, pictures: Iterable[DecodedPicture]) -> list[Group]:
    """Return the pictures by canvas and task, each in the order given."""
    config = model.predictor.config.input
    groups: defaultdict[tuple[str, tuple[int, int]], list[DecodedPicture]] = defaultdict(list)
    for picture in pictures:
        height, width = picture.image.shape[:2]
        groups[picture.item.asked.task, canvas_size(height, width, config)].append(picture)
    return [Group(model=model, canvas=key[1], pictures=group) for key, group in groups.items()]
