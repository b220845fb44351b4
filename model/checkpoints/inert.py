"""Stand-ins for harmless things that people save beside weights: read, empty, never run.

A checkpoint often holds its arguments, paths, dates or a configuration object. Their own classes
are not needed to read the weights, so nothing of them is called: an object becomes an empty
one, a dictionary or a list of another class a plain one with the members it was saved with.
Every stand-in is a class with `__setstate__`, so a pickle can set attributes on none of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class InertObject:
    """Stands for any object; takes all that it was made from, and keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: object) -> InertObject:
        """Return an empty one."""
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


class InertMapping:
    """Stands for a dictionary of another class: comes back as a plain ordered one."""

    def __new__(cls, *_: object) -> Any:
        """Return an empty dictionary, which the pickle fills."""
        return OrderedDict()

    def __setstate__(self, _state: object) -> None:
        pass


class InertList:
    """Stands for a sequence of another class: comes back as a plain list."""

    def __new__(cls, *_: object) -> Any:
        """Return an empty list, which the pickle fills."""
        return []

    def __setstate__(self, _state: object) -> None:
        pass


_OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "uuid.UUID",
    "typing.Any",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    # As the kind of what is in another container: defaultdict(list).
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("bool", "dict", "float", "int", "list", "long", "str", "tuple", "unicode")
    ),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
    ),
)
_MAPPINGS = (
    "addict.addict.Dict",
    "collections.Counter",
    "collections.defaultdict",
    "detectron2.config.config.CfgNode",
    "easydict.EasyDict",
    "fvcore.common.config.CfgNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
)
INERT_STAND_INS: dict[str, type] = {
    **dict.fromkeys(_OBJECTS, InertObject),
    **dict.fromkeys(_MAPPINGS, InertMapping),
    "collections.deque": InertList,
}
