"""`python -m service.configuration.page`: the reference page of the settings, docs/settings.md."""

from __future__ import annotations

import sys

from service.configuration.settings import LOCKS, PREFIX, Settings, flag_of, variable_of
from service.configuration.sources import OTHER_VARIABLES
from service.configuration.value_type import is_number
from service.configuration.values import default_of, groups, range_of, values_of

_OPENING = f"""\
# Settings

Made by `python -m service.configuration.page` from the schema in \
`service/configuration/settings.py`.

A setting is a flag of `python -m service`, an environment variable and a key of a TOML file, \
which `--settings FILE` or `{PREFIX}SETTINGS` names. A flag wins over a variable, a variable \
over the file, the file over the default. What is not understood is refused at the start, with \
the nearest name that is. `--print-settings` shows what is in force, and where from, as such a \
file.

An empty variable counts as not given. Those that lock something are refused when they are empty, \
as an unset variable in a start script would leave open what was to be locked: \
{", ".join(f"`{variable_of(name)}`" for name in LOCKS)}, and `{PREFIX}SETTINGS`, whose file may \
hold them. So are empty lists of `keys` and `url_hosts` in a flag or a file.

| | |
|---|---|
| switches | `--admin` and `--no-admin`; `true` and `false` in a variable or a file |
| lists | commas in a flag or a variable (`--devices cuda:0,cuda:1`), an array in a file \
(`devices = ["cuda:0", "cuda:1"]`) |
| bytes | a number, in flags and variables and quoted in a file also `64MiB` (KiB, MiB, GiB) |
| sizes | `640x480`: width, then height |
| paths | from the folder that the server is started in |

One model is described by `--weights` and what belongs to it. Several are described by `--model`, \
once for each, by `{variable_of("models")}="one=R_50_3x two=/models/two.pth,R_50_1x"`, or by \
tables, which can say more:

```toml
devices = ["cuda:0", "cuda:1"]

[[models]]
name = "street"
weights = "/models/street.safetensors"

[[models]]
name = "people"
weights = "/models/people.pth"
config = "R_50_3x"
overrides = ["MODEL.FCOS.NMS_TH", "0.5"]
categories = "/models/people.json"
devices = ["cuda:1"]
```
"""


def settings_page() -> str:
    """Return the page, in Markdown."""
    parts = [_OPENING]
    for title, names in groups().items():
        rows = ["| flag | variable | default | takes | what |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"## {title}", "", *rows, *map(_row, names)]) + "\n")
    others = [f"| `{name}` | {what} |" for name, what in OTHER_VARIABLES.items()]
    parts.append("\n".join(["## Other variables", "", "| variable | what |", "|---|---|", *others]))
    return "\n".join(parts) + "\n"


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    takes = range_of(name) if is_number(field) else values_of(name) or ""
    default = default_of(name)
    cells = (
        f"`{flag_of(name)}`",
        f"`{variable_of(name)}`",
        f"`{default}`" if default else "",
        takes,
        field.description or "",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
