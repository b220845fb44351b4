"""Which pictures run together, and when: the policy alone.

No torch, no asyncio, no clock: time comes in as an argument (seconds of a monotonic clock). A
worker that is free takes what waits; nothing ever waits for company.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.pool.cost import CostModel


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """How large a batch may grow. A single picture may exceed `max_pixels`: it runs alone."""

    max_images: int
    max_pixels: int

    def room(self, canvas_pixels: int) -> int:
        """Return how many pictures of that canvas may share a batch."""
        return max(1, min(self.max_images, self.max_pixels // max(1, canvas_pixels)))


@dataclass(eq=False, kw_only=True)
class Item:
    """One picture that waits.

    group: what may share a batch: the canvas and the task.
    canvas_pixels: of the padded canvas, what the network has to compute.
    source_pixels: of the picture as sent, what the decoder has to.
    submitted, deadline: seconds of the monotonic clock.
    alone: runs without company: a worker has died under it before.
    """

    group: Hashable
    canvas_pixels: int
    source_pixels: int
    num_bytes: int
    submitted: float
    deadline: float
    alone: bool = False

    def is_hopeless(self, now: float, cost: CostModel) -> bool:
        """Whether its deadline has passed, or will before it is computed.

        The estimate alone never condemns a picture that it would have condemned on arrival:
        an estimate that is wrong must be able to meet the truth.
        """
        if now >= self.deadline:
            return True
        needed = cost.seconds(self.canvas_pixels)
        return self.deadline - self.submitted >= needed > self.deadline - now


AnyItem = TypeVar("AnyItem", bound=Item)


class Queue(Generic[AnyItem]):
    """The pictures that wait for one model, oldest first."""

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self._items: dict[int, AnyItem] = {}  # by id(item), in the order of arrival
        self.num_bytes = self.canvas_pixels = self.source_pixels = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[AnyItem]:
        return iter(self._items.values())

    def add(self, item: AnyItem) -> None:
        """Put an item behind all others."""
        self._items[id(item)] = item
        self._count(item, 1)

    def put_back(self, items: Iterable[AnyItem]) -> None:
        """Put items that had left the queue before all others, in the order given."""
        items = list(items)
        self._items = {**{id(item): item for item in items}, **self._items}
        for item in items:
            self._count(item, 1)

    def remove(self, item: AnyItem) -> bool:
        """Take an item out; return whether it was there."""
        if self._items.pop(id(item), None) is None:
            return False
        self._count(item, -1)
        return True

    def oldest(self, accepts: Callable[[AnyItem], bool]) -> AnyItem | None:
        """Return the item that has waited longest of those that are accepted."""
        return next((item for item in self if accepts(item)), None)

    def take(
        self, accepts: Callable[[AnyItem], bool], *, is_idle: bool, now: float, cost: CostModel
    ) -> tuple[list[AnyItem], list[AnyItem]]:
        """Take the next batch out of the queue.

        The oldest item that is accepted decides the group; what else is of that group joins in
        the order of arrival while there is room. An item that must be alone goes to an idle
        worker only, and nobody overtakes it to that worker.

        Returns:
            The batch, empty when nothing may run; and the items that came out because their
            deadline has passed or cannot be met.
        """
        hopeless = [item for item in self if accepts(item) and item.is_hopeless(now, cost)]
        for item in hopeless:
            self.remove(item)
        first = self.oldest(accepts)
        if first is None or (first.alone and not is_idle):
            return [], hopeless
        batch = [first]
        if not first.alone:
            room = self.limits.room(first.canvas_pixels)
            for item in self:
                if len(batch) == room:
                    break
                joins = item.group == first.group and not item.alone and item is not first
                if joins and accepts(item):
                    batch.append(item)
        for item in batch:
            self.remove(item)
        return batch, hopeless

    def expected_seconds(self, cost: CostModel) -> float:
        """Return how long one worker needs for all that waits, batches as full as may be."""
        by_group: dict[Hashable, tuple[int, int]] = {}
        for item in self:
            number, pixels = by_group.get(item.group, (0, 0))
            by_group[item.group] = number + 1, max(pixels, item.canvas_pixels)
        num_batches = sum(
            -(-number // self.limits.room(pixels)) for number, pixels in by_group.values()
        )
        return cost.seconds(self.canvas_pixels, num_batches)

    def _count(self, item: AnyItem, sign: int) -> None:
        self.num_bytes += sign * item.num_bytes
        self.canvas_pixels += sign * item.canvas_pixels
        self.source_pixels += sign * item.source_pixels
