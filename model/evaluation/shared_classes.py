"""Which categories a network and a data set have in common: the same id and the same name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.categories import Categories, Category

_NUM_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class SharedClasses:
    """What is evaluated, and what is left out: only one side has it, or the data don't label it."""

    things: tuple[Category, ...]
    stuff: tuple[Category, ...]
    model_only: tuple[Category, ...]
    data_only: tuple[Category, ...]
    unlabelled: tuple[Category, ...] = ()

    @property
    def ids(self) -> frozenset[int]:
        """The ids of all that is evaluated."""
        return frozenset(category.id for category in (*self.things, *self.stuff))

    @property
    def is_part(self) -> bool:
        """Whether anything is left out."""
        return bool(self.model_only or self.data_only or self.unlabelled)

    def to_dict(self) -> dict[str, Any]:
        """Return how many are evaluated, and the ids and names of what is left out."""
        return {
            "num_evaluated": len(self.ids),
            "model_only": [{"id": c.id, "name": c.name} for c in self.model_only],
            "data_only": [{"id": c.id, "name": c.name} for c in self.data_only],
            "unlabelled": [{"id": c.id, "name": c.name} for c in self.unlabelled],
        }


def shared_classes(
    model: Categories,
    data: Categories,
    *,
    labelled_ids: Collection[int] | None = None,
    only_common: bool = False,
) -> SharedClasses:
    """Return the categories that both have.

    Args:
        labelled_ids: what else the data has is not labelled, so not evaluated. None: all is.
        only_common: leave out what only one has, instead of refusing.

    Raises:
        ValueError: they differ and `only_common` is not set, or have nothing in common.
    """
    unlabelled: tuple[Category, ...] = ()
    if labelled_ids is not None:
        unlabelled = tuple(c for c in data.things if c.id not in labelled_ids)
        model = replace(model, things=tuple(c for c in model.things if c not in unlabelled))
        data = replace(data, things=tuple(c for c in data.things if c not in unlabelled))
    things = tuple(category for category in data.things if category in model.things)
    stuff = tuple(category for category in data.stuff if category in model.stuff)
    common = {*things, *stuff}
    shared = SharedClasses(
        things=things,
        stuff=stuff,
        model_only=tuple(c for c in (*model.things, *model.stuff) if c not in common),
        data_only=tuple(c for c in (*data.things, *data.stuff) if c not in common),
        unlabelled=unlabelled,
    )
    differ = bool(shared.model_only or shared.data_only)
    if not common or (differ and not only_common):
        hint = "" if not common else "; --common-classes evaluates those that agree"
        raise ValueError(f"{_difference(shared, model.name, data.name)}{hint}")
    return shared


def _difference(shared: SharedClasses, model_name: str, data_name: str) -> str:
    return (
        f"the model's categories ({model_name}) and those of {data_name} differ: "
        f"only the model has {_names(shared.model_only)}; "
        f"only the data has {_names(shared.data_only)}; "
        f"{len(shared.ids) or 'none'} agree in id and name"
    )


def _names(categories: Sequence[Category]) -> str:
    named = [f"{category.id} {category.name!r}" for category in categories[:_NUM_NAMED]]
    more = len(categories) - len(named)
    return (", ".join(named) + (f" and {more} more" if more else "")) or "none"
