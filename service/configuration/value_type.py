"""The type of a setting's value."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo


def value_type(field: FieldInfo) -> Any:
    """Return the type that a setting has when it is given: `int` for `int | None`, too."""
    if get_origin(field.annotation) not in (Union, UnionType):
        return field.annotation
    given = [member for member in get_args(field.annotation) if member is not NoneType]
    return given[0] if len(given) == 1 else field.annotation


def is_number(field: FieldInfo) -> bool:
    """Return whether a setting is a number."""
    return value_type(field) in (int, float)
