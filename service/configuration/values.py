"""A setting in words: its group, the values that it takes, its default."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from service.configuration.forms import Bytes
from service.configuration.settings import Settings
from service.configuration.value_type import is_number, value_type

_BYTES_READER = get_args(Bytes)[1]
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def groups() -> dict[str, list[str]]:
    """Return the names of the settings by group, both in the order of the schema."""
    grouped: dict[str, list[str]] = {}
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        grouped.setdefault(str(extra["group"]), []).append(name)
    return grouped


def values_of(name: str) -> str | None:
    """Return what completes "it must be …"; None where the setting's form is its own matter."""
    field = Settings.model_fields[name]
    kind_of_value = value_type(field)
    if kind_of_value is bool:
        return "true or false"
    if get_origin(kind_of_value) is Literal:
        *others, last = get_args(kind_of_value)
        return f"{', '.join(others)} or {last}"
    if not is_number(field):
        return None
    kind = "a whole number" if kind_of_value is int else "a number"
    if is_bytes(field):
        kind = "a whole number of bytes, as in 1000 or 64MiB"
    limits = range_of(name)
    return f"{kind}, {limits}" if limits.startswith("at") else f"{kind} {limits}"


def default_of(name: str) -> str:
    """Return the default as one writes it; "" for none."""
    field = Settings.model_fields[name]
    value = field.default
    if name == "models" or value is None or value == ():
        return ""
    if value_type(field) is bool:
        return "on" if value else "off"
    return written(name, value)


def written(name: str, value: Any) -> str:
    """Return a value of a setting as a flag takes it."""
    if is_bytes(Settings.model_fields[name]):
        unit, suffix = next(
            ((unit, suffix) for unit, suffix in _UNITS if value % unit == 0), (1, "")
        )
        return f"{value // unit}{suffix}"
    if name == "warmup_sizes":
        return ",".join(f"{width}x{height}" for height, width in value)
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, int) and value >= 100_000:
        return f"{value:_}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_bytes(field: FieldInfo) -> bool:
    """Return whether a setting counts bytes."""
    return _BYTES_READER in field.metadata


def range_of(name: str) -> str:
    """Return the limits of a number, as in "at least 1"."""
    rules = Settings.model_fields[name].metadata
    least = next((rule.ge for rule in rules if isinstance(rule, Ge)), None)
    most = next((rule.le for rule in rules if isinstance(rule, Le)), None)
    below = next((rule.gt for rule in rules if isinstance(rule, Gt)), None)
    if below is not None:
        return f"greater than {below}"
    return f"at least {least}" if most is None else f"from {least} to {most}"
