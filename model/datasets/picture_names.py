"""Names of picture files as labelling tools write them, and the files that are meant."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

from model.datasets.findings import Findings


def names_in(folder: Path, written: Iterable[str], findings: Findings) -> dict[str, str]:
    """Return the name in a folder that each written name stands for; itself if there is none.

    Backslashes, percent escapes, accents composed otherwise, and folders before the name are
    seen through. Two pictures that would come out as one file keep their names.

    Args:
        findings: get the names that stand for others.
    """
    listings = _Listings(folder)
    names = {name: _found(name, listings) for name in dict.fromkeys(written)}
    times = Counter(names.values())
    for name, found in names.items():
        if found == name:
            continue
        if times[found] > 1:
            names[name] = name
        else:
            findings.add("file_name", f"{name!r:.100} is {found!r:.100}")
    return names


def is_file_name(value: Any) -> bool:
    """Return whether a file can be called so: not with a NUL, or half of a character."""
    try:
        return isinstance(value, str) and len(value) > 0 and 0 not in value.encode()
    except UnicodeEncodeError:
        return False


def holds(folder: Path, name: str) -> bool:
    """Return whether a file is in a folder under that very name."""
    return is_file_name(name) and _Listings(folder).has(name)


class _Listings:
    """What is in the folders below one, each listed once: many files need not be asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> bool:
        parent, base = os.path.split(name)
        if parent not in self._names:
            try:
                inside = (self._folder / parent).iterdir()
                self._names[parent] = frozenset(path.name for path in inside)
            except (OSError, ValueError):  # no such folder, or no name for one
                self._names[parent] = frozenset()
        return base in self._names[parent]


def _found(name: str, listings: _Listings) -> str:
    spellings = [name] if listings.has(name) else list(dict.fromkeys(_spellings(name)))
    for spelling in spellings:
        if listings.has(spelling):
            return spelling
    for spelling in spellings:
        parts = spelling.split("/")
        for start in range(1, len(parts)):
            short = "/".join(parts[start:])
            if short and listings.has(short):
                return short
    return name


def _spellings(name: str) -> Iterator[str]:
    for slashes in (name, os.path.normpath(name.replace("\\", "/"))):
        for plain in (slashes, unquote(slashes)):
            yield plain
            yield normalize("NFC", plain)
            yield normalize("NFD", plain)
