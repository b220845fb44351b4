"""Reads the settings: flags over environment over TOML file over defaults.

The only file of the service that reads the environment. A setting that is not understood is
refused in one line that says where it stands and what would be right.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from service.configuration.model_spec import ModelSpec
from service.configuration.settings import LOCKS, PREFIX, Settings, flag_of, variable_of
from service.configuration.values import values_of

# Variables of this project that are no settings of the server.
OTHER_VARIABLES = {
    f"{PREFIX}SETTINGS": "a TOML file of settings, as --settings",
    f"{PREFIX}CACHE": "the folder for downloads and their digests",
    f"{PREFIX}GOLDEN": "the tests' reference numbers",
    f"{PREFIX}EMULATED_CASES": "how many cases the kernels' emulation is tested on",
    f"{PREFIX}SANITIZE": "builds the operations with sanitizers",
    f"{PREFIX}CUDA_ARCHITECTURES": "the devices that the kernels are compiled for",
}
# Kubernetes describes a service called "blendmask" or "blendmask-…" in such variables.
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


@dataclass(frozen=True, kw_only=True)
class SettingsRead:
    """The settings, and where each that was given stands: "--port", "BLENDMASK_PORT", …"""

    settings: Settings
    origins: Mapping[str, str]


def read_settings(
    flags: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> SettingsRead:
    """Return the settings and their origins.

    Args:
        flags: setting name -> value, only those given.
        environment: variables; None: the process's own. An empty one counts as not given, except
            where it would leave a lock open (`LOCKS`, and the file, which may hold some).
        file: a TOML file; None: the one that BLENDMASK_SETTINGS names, if any.
    Raises:
        ValueError: one line about the first setting that is wrong.
    """
    variables = dict(os.environ) if environment is None else dict(environment)
    if file is None and (named := variables.get(f"{PREFIX}SETTINGS")) is not None:
        if not named:
            raise ValueError(f"{PREFIX}SETTINGS is empty; name a file, or leave the variable out")
        file = Path(named)
    layers = [
        (dict(flags), flag_of),
        (_from_environment(variables), variable_of),
        (_from_file(file), lambda name: f"{name} in {file}"),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, written in reversed(layers):
        values.update(layer)
        origins.update({name: written(name) for name in layer})
    try:
        return SettingsRead(settings=Settings(**values), origins=origins)
    except ValidationError as error:
        raise ValueError(_first_line(error, origins)) from None


def nearest(name: str, known: Collection[str]) -> str:
    """Return "; did you mean …?" with the known name that is most like it, or nothing."""
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    known = {variable_of(name) for name in Settings.model_fields}
    # Of those in lower case only what must be a slip counts as ours.
    own = {
        name: value
        for name, value in variables.items()
        if (name.startswith(PREFIX) or name.upper() in known) and not _is_service_link(name, value)
    }
    for name in own:
        if name not in known and name not in OTHER_VARIABLES:
            raise ValueError(f"there is no setting {name}{nearest(name, known)}")
    source = EnvSettingsSource(Settings)
    locks = {variable_of(name) for name in LOCKS}
    source.env_vars = {name.lower(): value for name, value in own.items() if value or name in locks}
    return source()


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    if not file.is_file():
        raise ValueError(f"there is no settings file {file}")
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            raise ValueError(
                f"{file}: there is no setting {name}{nearest(name, Settings.model_fields)}"
            )
    return values


def _is_service_link(name: str, value: str) -> bool:
    if name == variable_of("port"):
        return _SERVICE_ADDRESS.fullmatch(value) is not None
    return _SERVICE_LINK.fullmatch(name) is not None


def _first_line(error: ValidationError, origins: Mapping[str, str]) -> str:
    errors = error.errors(include_url=False)
    # A misspelt member is told before the one that is missing for it.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    message = first["msg"].removeprefix("Value error, ").replace("\n", " ")
    if not first["loc"]:
        return f"{message}{_as_given(message, origins)}"
    name, *inside = first["loc"]
    where = origins.get(str(name), str(name))
    for part in inside:
        where += f", member {part + 1}" if isinstance(part, int) else f", {part}"
    if first["type"] == "extra_forbidden":
        near = nearest(str(inside[-1]), ModelSpec.model_fields)
        return f"{where}: there is no such member{near}"
    if first["type"] == "missing":
        return f"{where} is missing"
    if not (inside or first["type"] == "value_error") and (values := values_of(str(name))):
        message = f"it must be {values}"
    seen = "" if name == "keys" else f" is {_short(first['input'])}"
    return f"{where}{seen}: {message}"


def _as_given(message: str, origins: Mapping[str, str]) -> str:
    named = re.findall(r"\w+", message)
    given = [written for name, written in origins.items() if name in named and written != name]
    return f" (given: {', '.join(given)})" if given else ""


def _short(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= 100 else f"{text[:100]}…"
