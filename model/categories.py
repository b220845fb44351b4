"""Categories: the data set's own ids and names, and how the network's classes map to them.

The network counts classes contiguously from 0. On the wire and in files only the data set's
own ids appear (COCO: 1 to 90 with gaps for things, 92 to 200 for stuff). A semantic head has
one label more than there is stuff: its label 0 means "some thing".
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# Characters of an unknown name that are compared with the known ones, and repeated.
_MAX_SEARCHED = 80


@dataclass(frozen=True, kw_only=True)
class Category:
    """One category of a data set: its id there and its name."""

    id: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Categories:
    """A data set's categories. `things[c]` is the network's class c, `stuff[s - 1]` its label s."""

    name: str
    things: tuple[Category, ...]
    stuff: tuple[Category, ...] = ()

    def __post_init__(self) -> None:
        ids = [category.id for category in (*self.things, *self.stuff)]
        repeated = sorted({i for i in ids if ids.count(i) > 1})
        if repeated:
            raise ValueError(f"category ids must be unique; given twice: {repeated}")

    def of(self, label: int, is_thing: bool) -> Category:
        """Return the category of a thing's class (from 0) or of a semantic label (stuff from 1)."""
        return self.things[label] if is_thing else self.stuff[label - 1]

    def find(self, wanted: str | int) -> Category:
        """Return the category with that name (any case) or id (a number, or digits).

        A text is first looked for among the names, as it stands and then in any case: classes may
        be called "0" to "9", and have other ids. An int is an id and nothing else.

        Raises:
            ValueError: there is none; the message lists near matches.
        """
        text = str(wanted).strip()
        if isinstance(wanted, int):
            found = self._by_id.get(wanted)
        else:
            found = self._by_text.get(text) or self._by_text.get(text.lower())
        if found is not None:
            return found
        everything = (*self.things, *self.stuff)
        names = {category.name.lower(): category.name for category in everything}
        # What is longer is like none of them, and would take the search a long time.
        start = text[:_MAX_SEARCHED]
        near = difflib.get_close_matches(start.lower(), names, n=3)
        hint = (
            f"near matches: {', '.join(names[n] for n in near)}"
            if near
            else f"there are {len(everything)}, such as {', '.join(list(names.values())[:3])}"
        )
        seen = start if len(text) <= _MAX_SEARCHED else f"{start}…"
        raise ValueError(f"unknown class {seen!r}; {hint}")

    def ids(self, *wanted: str | int) -> frozenset[int]:
        """Return the ids of the categories with those names or ids, each as `find` takes it.

        Raises:
            ValueError: as for `find`.
        """
        return frozenset(self.find(one).id for one in wanted)

    @cached_property
    def _by_id(self) -> dict[int, Category]:
        return {category.id: category for category in (*self.things, *self.stuff)}

    @cached_property
    def _by_text(self) -> dict[str, Category]:
        """By name, by name in lower case, by id in digits: what comes first wins."""
        everything = (*self.things, *self.stuff)
        found: dict[str, Category] = {}
        for text_of in (
            lambda category: category.name,
            lambda category: category.name.lower(),
            lambda category: str(category.id),
        ):
            for category in everything:
                found.setdefault(text_of(category), category)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready dictionaries; `from_dict` reads them back."""
        return {
            "name": self.name,
            "things": [{"id": c.id, "name": c.name} for c in self.things],
            "stuff": [{"id": c.id, "name": c.name} for c in self.stuff],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Categories:
        """Build from `to_dict`'s output; ValueError names what is wrong."""
        try:
            return cls(
                name=str(data["name"]),
                things=_parse(data["things"]),
                stuff=_parse(data.get("stuff", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"categories need a name and things with id and name: {error}"
            ) from None

    @classmethod
    def from_coco(cls, path: Path) -> Categories:
        """Read the categories of a COCO-style JSON file, in the order of their ids.

        Raises:
            ValueError: the file is not such a JSON file.
        """
        try:
            rows = json.loads(path.read_bytes())["categories"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: no readable COCO categories in it ({error})") from None
        return cls.from_coco_rows(path.stem, rows)

    @classmethod
    def from_coco_rows(cls, name: str, rows: Iterable[Mapping[str, Any]]) -> Categories:
        """Return what the `categories` of a COCO-style file say, in the order of their ids.

        Those with `isthing` 0 are stuff; all others, also without that member, are things.

        Raises:
            ValueError: one has no sound id and name, or an id is there twice.
        """
        try:
            ordered = sorted(rows, key=lambda row: int(row["id"]))
            return cls(
                name=name,
                things=_parse(row for row in ordered if row.get("isthing", 1)),
                stuff=_parse(row for row in ordered if not row.get("isthing", 1)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{name}: categories without a sound id and name ({error})") from None

    @classmethod
    def numbered(cls, num_things: int, num_stuff: int = 0) -> Categories:
        """Return stand-ins ("class 1", "stuff 1", …) for a data set that nobody described."""
        return cls(
            name="numbered",
            things=tuple(Category(id=i + 1, name=f"class {i + 1}") for i in range(num_things)),
            stuff=tuple(
                Category(id=num_things + i + 1, name=f"stuff {i + 1}") for i in range(num_stuff)
            ),
        )


def _parse(rows: Iterable[Mapping[str, Any]]) -> tuple[Category, ...]:
    return tuple(Category(id=int(row["id"]), name=_name(row["name"])) for row in rows)


def _name(value: Any) -> str:
    """Return a name as text; ValueError for half of a character, which can be written nowhere."""
    name = str(value)
    name.encode()
    return name
