"""What `--print-settings` shows: the settings in force as the TOML file that would make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service.configuration.forms import MASK
from service.configuration.model_spec import ModelSpec
from service.configuration.settings import SHORT_FORM
from service.configuration.sources import SettingsRead
from service.configuration.values import groups, written


def settings_as_toml(read: SettingsRead) -> str:
    """Return the settings as TOML that --settings takes, secrets masked.

    A comment says where a value comes from that is not the default.
    """
    lines = ["# python -m service --settings FILE takes this."]
    several = "models" in read.origins
    for title, names in groups().items():
        lines += ["", f"# {title}"]
        lines += [
            _line(name, getattr(read.settings, name), read.origins.get(name))
            for name in names
            if name != "models" and not (several and name in SHORT_FORM)
        ]
    if several:
        for model in read.settings.models:
            lines += ["", f"[[models]]  # from {read.origins['models']}", *_members(model)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, origin: str | None) -> str:
    remarks = [f"from {origin}"] if origin else []
    if value is None or (value == () and origin is None):  # an empty list may not be written
        return f"# {name} is not set"
    if name == "keys" and value:
        remarks.append(f"{MASK} stands for a secret: write it in")
    if name == "warmup_sizes":
        value = written(name, value).split(",") if value else []
    comment = f"  # {'; '.join(remarks)}" if remarks else ""
    return f"{name} = {_toml(value)}{comment}"


def _members(model: ModelSpec) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in model if value not in (None, ())]


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str | Path | SecretStr):
        text = MASK if isinstance(value, SecretStr) else str(value)
        # A JSON string is a TOML string but for this one character.
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_toml, value))}]"
