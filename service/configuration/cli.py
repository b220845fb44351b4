"""The command line of `python -m service`: its flags, made from the schema of the settings."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from model.version import DISTRIBUTION, installed_version
from service.configuration.settings import Settings, flag_of, variable_of
from service.configuration.sources import nearest
from service.configuration.value_type import is_number, value_type
from service.configuration.values import default_of, groups, is_bytes

PROGRAM = "python -m service"
_WIDTH = 100
_GENERAL = ("--help", "--version", "--settings", "--print-settings")
_METAVARS = {
    "weights": "WHAT",
    "config": "WHAT",
    "name": "NAME",
    "models": "NAME=WEIGHTS[,CONFIG]",
    "devices": "DEVICES",
    "warmup_sizes": "SIZES",
    "host": "HOST",
    "keys": "KEYS",
    "cors_origins": "ORIGINS",
    "url_hosts": "HOSTS",
    "log_level": "LEVEL",
    "log_format": "FORMAT",
}


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """What the operator typed.

    flags: setting name -> text, or texts of a repeated flag. file: the settings' TOML file.
    """

    flags: dict[str, Any]
    file: Path | None
    print_settings: bool


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size((_WIDTH, 24)).columns
        super().__init__(prog, max_help_position=34, width=max(60, min(_WIDTH, columns)))

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"--[no-]{action.option_strings[0].removeprefix('--')}"
        return super()._format_action_invocation(action)


def parse_command_line(arguments: Sequence[str] | None) -> CommandLine:
    """Return what was typed; prints and exits for --help and --version.

    Raises:
        ValueError: one line about what is not understood.
    """
    parser = _parser()
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise ValueError(_not_understood(unknown[0], vars(known)))
    flags = vars(known)
    file = flags.pop("settings_file", None)
    print_settings = flags.pop("print_settings", False)
    if "overrides" in flags:
        flags["overrides"] = [text for pair in flags["overrides"] for text in pair]
    return CommandLine(flags=flags, file=file, print_settings=print_settings)


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [flags]",
        description="Serve BlendMask models over HTTP. Every flag below is also a variable and a "
        f"key of a TOML file: --max-pixels is {variable_of('max_pixels')} and max_pixels. "
        "A flag wins over a variable, a variable over the file. [Brackets] hold defaults.",
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    general = parser.add_argument_group("General")
    general.add_argument("-h", "--help", action="help", help="show this and exit")
    general.add_argument(
        "--version",
        action="version",
        version=f"{DISTRIBUTION} {installed_version()}",
        help="show the version and exit",
    )
    general.add_argument(
        "--settings",
        dest="settings_file",
        type=Path,
        metavar="FILE",
        help=f"TOML file of settings ({variable_of('settings')})",
    )
    general.add_argument(
        "--print-settings",
        action="store_true",
        help="show the settings in force and where they come from, as such a file, and exit",
    )
    for title, names in groups().items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_flag(group, name)
    return parser


def _add_flag(group: argparse._ArgumentGroup, name: str) -> None:
    field = Settings.model_fields[name]
    default = default_of(name)
    # argparse would take a % for its own.
    text = f"{field.description}{f' [{default}]' if default else ''}".replace("%", "%%")
    options: dict[str, Any] = {"dest": name, "help": text}
    if value_type(field) is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif name == "overrides":
        options |= {"nargs": 2, "action": "append", "metavar": ("KEY", "VALUE")}
    elif name == "models":
        options |= {"action": "append", "metavar": _metavar(name)}
    else:
        options["metavar"] = _metavar(name)
    group.add_argument(flag_of(name), **options)


def _metavar(name: str) -> str:
    field = Settings.model_fields[name]
    if name in _METAVARS:
        return _METAVARS[name]
    if is_bytes(field):
        return "BYTES"
    return "N" if is_number(field) else "FILE"


def _not_understood(argument: str, flags: Mapping[str, Any]) -> str:
    flag = argument.partition("=")[0]
    if not flag.startswith("-"):
        advice = "" if "weights" in flags else f"; did you mean --weights {argument}?"
        return f"{argument!r} belongs to no flag{advice}"
    known = [*_GENERAL]
    for name, field in Settings.model_fields.items():
        known.append(flag_of(name))
        if value_type(field) is bool:
            known.append(f"--no-{flag_of(name).removeprefix('--')}")
    return f"there is no flag {flag}{nearest(flag, known)}"
