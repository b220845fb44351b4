"""Frozen records from JSON objects; a member that is misspelt is refused with the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def record_of(cls: type[T], data: Mapping[str, Any], path: str = "") -> T:
    """Return the record of that class, and of those of its members, that the data tells of.

    Args:
        path: of the record in the whole, such as "fcos."; for messages.
    Raises:
        ValueError: a member is unknown, missing, or no object where it must be one.
    """
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {path}{near[0]!r}?" if near else ""
            raise ValueError(f"unknown configuration member {path}{name!r}{hint}")
    missing = [n for n, f in known.items() if n not in data and _is_required(f)]
    if missing:
        raise ValueError(f"configuration member {path}{missing[0]!r} is missing")
    values: dict[str, Any] = {}
    for name, value in data.items():
        part = next((t for t in (hints[name], *get_args(hints[name])) if is_dataclass(t)), None)
        if part is not None and value is not None:
            if not isinstance(value, Mapping):
                raise ValueError(f"configuration member {path}{name!r} must be an object")
            value = record_of(part, value, f"{path}{name}.")  # type: ignore[arg-type]
        values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"configuration {path or 'root'}: {error}") from None


def _is_required(f: Any) -> bool:
    return f.default is MISSING and f.default_factory is MISSING
