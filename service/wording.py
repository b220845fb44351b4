"""How values and near matches read in a sentence for the client."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_LENGTH = 80


def quoted(value: object) -> str:
    """Return the value as Python writes it, cut off where it gets long."""
    text = repr(value)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like the given one."""
    return difflib.get_close_matches(name[:_MAX_LENGTH], known, n=1, cutoff=0.0)[0]
