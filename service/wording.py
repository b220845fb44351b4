"""How values and near matches read in a sentence for the client."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_MAX_LENGTH = 80

# A text is cut before it is written out: it may have tens of millions of characters.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _MAX_LENGTH


def quoted(value: object) -> str:
    """Return the value as Python writes it, cut off where it gets long."""
    if isinstance(value, str):
        text = repr(value[:_MAX_LENGTH])
        is_whole = len(value) <= _MAX_LENGTH
    else:
        text, is_whole = _SHORT.repr(value), True
    return text if is_whole and len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like the given one."""
    return difflib.get_close_matches(name[:_MAX_LENGTH], known, n=1, cutoff=0.0)[0]
