"""All seats: those of the present weights, and those of the weights before them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from service.engine import ModelInfo
from service.engine_state import WorkerState
from service.pool.seats import Seat


class Roster:
    """Who sits where.

    seats: one for each device; new requests go to them.
    leaving: what a reload has replaced; they finish what they began.
    """

    def __init__(self) -> None:
        self.seats: list[Seat] = []
        self.leaving: list[Seat] = []

    def __iter__(self) -> Iterator[Seat]:
        yield from self.seats
        yield from self.leaving

    @property
    def held(self) -> frozenset[tuple[str, str]]:
        """(name, edition) of every model that a worker runs, or will once it is replaced."""
        return frozenset().union(*(seat.holds for seat in self))

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that new requests may ask for, each as the first seat has it."""
        by_name: dict[str, ModelInfo] = {}
        for seat in self.seats:
            for model in seat.models:
                by_name.setdefault(model.name, model)
        return tuple(by_name.values())

    @property
    def workers(self) -> tuple[WorkerState, ...]:
        """How the workers of the present weights stand."""
        return tuple(seat.state for seat in self.seats)

    def seats_of(self, name: str) -> list[Seat]:
        """Return the seats that new requests for a model go to."""
        return [seat for seat in self.seats if any(model.name == name for model in seat.models)]

    def num_ready(self, name: str) -> int:
        """Return how many workers take requests for a model now."""
        return sum(seat.ready_link is not None for seat in self.seats_of(name))

    def shares(self, name: str) -> dict[str, float]:
        """Return by model, of its work, the part that falls to the workers of the model named."""
        own = self.seats_of(name)
        shares = {}
        for model in self.models:
            seats = self.seats_of(model.name)
            shares[model.name] = sum(seat in own for seat in seats) / len(seats)
        return shares

    def take_over(self, fresh: Sequence[Seat]) -> list[Seat]:
        """Put these seats in place of the present ones; return those that leave."""
        replaced = self.seats
        for seat in replaced:
            seat.leave()
        self.leaving.extend(replaced)
        self.seats = list(fresh)
        return replaced

    def part_with_idle(self, awaited: Collection[tuple[str, str]]) -> None:
        """End the workers that leave, once they have nothing and nothing is to come for them.

        Args:
            awaited: (name, edition) of what requests still wait for.
        """
        if not self.leaving:
            return
        present = frozenset().union(*(seat.holds for seat in self.seats))
        needed = frozenset(awaited) - present
        for seat in list(self.leaving):
            is_busy = seat.link is not None and bool(seat.link.sent)
            if not is_busy and not (seat.holds & needed):
                self.leaving.remove(seat)
                seat.retire()
