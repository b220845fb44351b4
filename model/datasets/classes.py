"""The classes of one data set or several: whose ids and names are the same, and who labels what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.categories import Categories, Category

_MOST_STUFF = 254  # a semantic label is 8 bits: 0 is things, 255 unknown


@dataclass(frozen=True, kw_only=True)
class LabelledCategories:
    """A data set's categories, and the ids of those that it labels wherever they appear."""

    categories: Categories
    labelled_ids: frozenset[int]


def categories_of(
    document: Mapping[str, Any], panoptic: Mapping[str, Any] | None, name: str
) -> LabelledCategories:
    """Return a file's categories by id; kinds of stuff come from the panoptic file.

    `info.labelled_category_ids` says which are labelled; without it, all are.

    Raises:
        ValueError: a category has no sound id and name, or an id is there twice.
    """
    things = Categories.from_coco_rows(name, document["categories"]).things
    stuff = Categories.from_coco_rows(name, (panoptic or {}).get("categories", ())).stuff
    info = document.get("info")
    declared = info.get("labelled_category_ids") if isinstance(info, dict) else None
    try:
        ids = {category.id for category in things}
        labelled = ids if declared is None else {int(i) for i in declared}
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: labelled_category_ids is {declared!r:.60}, no ids") from None
    return LabelledCategories(
        categories=Categories(name=name, things=things, stuff=stuff),
        labelled_ids=frozenset(labelled),
    )


def listed_ids(document: Mapping[str, Any], name: str) -> frozenset[int]:
    """Return the ids of all the categories that a file lists."""
    listed = Categories.from_coco_rows(name, document["categories"])
    return frozenset(category.id for category in (*listed.things, *listed.stuff))


def unite(parts: Sequence[LabelledCategories], wanted: Categories | None = None) -> Categories:
    """Return the classes of several data sets together, by id.

    Raises:
        ValueError: an id has two names, a name two ids, there is more stuff than semantic labels
            can tell, or nothing of what is wanted is there.
    """
    things: dict[int, Category] = {}
    stuff: dict[int, Category] = {}
    for part in parts:
        for known, found in ((things, part.categories.things), (stuff, part.categories.stuff)):
            for category in found:
                _check_agrees(category, known)
                known[category.id] = category
    if len(stuff) > _MOST_STUFF:
        raise ValueError(f"{len(stuff)} kinds of stuff are too many; at most {_MOST_STUFF} fit")
    if wanted is None:
        return Categories(
            name=parts[0].categories.name,
            things=tuple(things[i] for i in sorted(things)),
            stuff=tuple(stuff[i] for i in sorted(stuff)),
        )
    for category in wanted.things:
        _check_agrees(category, things)
    if not any(category.id in things for category in wanted.things):
        raise ValueError(
            f"none of the {len(wanted.things)} classes wanted is in the data, which has "
            + ", ".join(c.name for c in list(things.values())[:10])
        )
    return wanted


def _check_agrees(category: Category, known: Mapping[int, Category]) -> None:
    same_id = known.get(category.id)
    if same_id is not None and same_id.name != category.name:
        raise ValueError(
            f"category {category.id} is {same_id.name!r} in one data set and {category.name!r} in "
            "another; ids and names must agree"
        )
    if same_id is None:
        for other in known.values():
            if other.name == category.name:
                raise ValueError(
                    f"category {category.name!r} has id {other.id} in one data set and "
                    f"{category.id} in another; ids and names must agree"
                )


def labelled_table(parts: Sequence[LabelledCategories], united: Categories) -> np.ndarray:
    """Return (S, C) bool: which data set labels which class."""
    return np.array(
        [[category.id in part.labelled_ids for category in united.things] for part in parts]
    )
