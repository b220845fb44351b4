"""Where in a checkpoint the network is: in which member, and behind which prefix of the names.

Training programs put the tensors into a member (`model`, `state_dict`, …) and wrap the network
(`module.`, `model.`, `_orig_mod.`), one around the other at times. Each is looked through,
outermost first. Where there are several networks, averaged weights for one, it is not for us
to choose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from model.checkpoints.pickled_arrays import PickledArray, PickledScalar

_MEMBERS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "blobs",
    "average",
    "ema",
    "ema_model",
    "ema_state",
    "ema_state_dict",
    "model_ema",
    "params_ema",
    "state_dict_ema",
    "student",
    "teacher",
)
_DEEPEST = 4
# Whether the mapping of that id, met at that depth, holds tensors.
_Known = dict[tuple[int, int], bool]
# What every detector that BlendMask is a kin of has; what stands before it is a wrapper's.
_BACKBONE = re.compile(r"^(.*?)backbone\.(?:bottom_up|body)\.")
_WRAPPER_WORDS = frozenset((*_MEMBERS, "_forward_module"))
# torch.compile's, which may stand anywhere in a name.
_COMPILED = re.compile(r"(?:^|(?<=\.))_orig_mod\.")


class Choice:
    """Which network to take where there are several; None was said if `member` is None."""

    def __init__(self, member: str | None = None) -> None:
        self._member = member
        self._is_met = member is None

    def among(self, found: list[str]) -> str:
        """Return the only name, or the wanted one.

        Raises:
            ValueError: there are several, and none of them is wanted.
        """
        if self._member in found:
            self._is_met = True
            return str(self._member)
        if len(found) == 1:
            return found[0]
        missing = "" if self._member is None else f", none of them {self._member!r}"
        raise ValueError(
            f"it holds {len(found)} networks{missing}: {', '.join(map(repr, found))}; "
            f"python -m model.convert FILE OUTPUT --member {found[-1]} takes that one"
        )

    def check_met(self) -> None:
        """Raise a ValueError if the wanted network was nowhere to be chosen."""
        if not self._is_met:
            raise ValueError(f"it holds one network, and none that is called {self._member!r}")


def network_in(content: object, choice: Choice) -> object:
    """Return the innermost member of an unpickled file that holds the tensors by name.

    Raises:
        ValueError: there are several, and none of them is wanted.
    """
    known: _Known = {}
    for _ in range(_DEEPEST + 1):
        if not isinstance(content, Mapping):
            break
        found = [name for name in _MEMBERS if _holds_tensors(content.get(name), known)]
        if not found and not any(_is_tensor(value) for value in content.values()):
            found = [name for name, value in content.items() if _holds_tensors(value, known)]
        if not found:
            break
        content = content[choice.among(found)]
    return content


def bare_names(names: Iterable[str], choice: Choice) -> dict[str, str]:
    """Return {name: name without what wrappers put before it} of one network.

    Tensors beside it, such as a loss's or a counter of updates, are left out.

    Raises:
        ValueError: there are several networks and none of them is wanted, or two names become
            one.
    """
    plain = {name: _COMPILED.sub("", name) for name in names}
    prefixes = {m[1] for name in plain.values() if (m := _BACKBONE.match(name))}
    if prefixes:
        words = {prefix.rstrip(".") or "(no prefix)": prefix for prefix in sorted(prefixes)}
        prefix = words[choice.among(list(words))]
    else:
        prefix = _shared_prefix(plain.values())
    bare = {o: n.removeprefix(prefix) for o, n in plain.items() if n.startswith(prefix)}
    if len(set(bare.values())) < len(bare):
        twice = next(n for n in bare.values() if list(bare.values()).count(n) > 1)
        raise ValueError(f"two tensors are both {twice!r} without their wrappers' prefixes")
    return bare


def _shared_prefix(names: Iterable[str]) -> str:
    """Return the wrappers' words that all names begin with, each with its dot."""
    rest, prefix = list(names), ""
    while rest:
        words = {name.split(".", 1)[0] for name in rest if "." in name}
        if len(words) != 1 or not words <= _WRAPPER_WORDS or not all("." in n for n in rest):
            break
        (word,) = words
        prefix += f"{word}."
        rest = [name.removeprefix(f"{word}.") for name in rest]
    return prefix


def _holds_tensors(value: object, known: _Known, depth: int = 0) -> bool:
    """Whether it is a network's tensors by name, or holds such; an optimiser's state is not.

    Args:
        known: what was found before: members that share members are searched once each.
    """
    if not isinstance(value, Mapping) or "param_groups" in value or depth == _DEEPEST:
        return False
    key = (id(value), depth)
    if key not in known:
        members = [v for name, v in value.items() if isinstance(name, str)]
        known[key] = any(_is_tensor(v) or _holds_tensors(v, known, depth + 1) for v in members)
    return known[key]


def _is_tensor(value: object) -> bool:
    if isinstance(value, PickledArray):
        return not isinstance(value, PickledScalar)
    return isinstance(value, Tensor) and value.ndim > 0
