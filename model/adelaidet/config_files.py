"""AdelaiDet's configuration files (YAML) and command-line overrides, as a `ModelConfig`.

Every option is one of three: it becomes a member of the configuration; it would change the
result in a way that this network cannot follow, and is refused by name; or prediction does not
read it, and one log line lists it. `options.py` has the options and their defaults; those of
training are in `training_options.py`.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.adelaidet import options as known
from model.adelaidet.mapping import options_of, to_model_config
from model.adelaidet.training_options import is_followed
from model.adelaidet.yaml_document import read_document
from model.config import ModelConfig
from model.presets import PRESETS

logger = logging.getLogger(__name__)


_BASE = "_BASE_"
_DUMP = "config.yaml"
# Its settings are the defaults already, so a chain may end in it without the file.
_BUILT_IN_BASE = "Base-BlendMask.yaml"


def read_config(
    path: str | Path, overrides: Sequence[str] = (), *, for_training: bool = False
) -> ModelConfig:
    """Return the configuration in a BlendMask YAML file of AdelaiDet's.

    Its `_BASE_` chain is followed, relative to each file. The name is the file's, with the
    folder's before it where a released configuration is called so (`Panoptic/R_50_1x`), and the
    folder's alone for the `config.yaml` that a training leaves.

    Args:
        overrides: KEY VALUE KEY VALUE …, as on detectron2's command line.
        for_training: the options of training are read too, by `read_settings`.
    Raises:
        ValueError: a file cannot be read, or an option is unknown, of a wrong type or asks for
            something this network cannot do; the message names it and what would be right.
    """
    path = Path(path)
    folder = path.resolve().parent.name
    qualified = f"{folder}/{path.stem}"
    name = qualified if qualified in PRESETS else path.stem
    if path.name == _DUMP and folder:
        name = folder
    try:
        built_in: list[Path] = []
        settings = {**_read_chain(path, (), built_in), **_pairs(overrides)}
        for base in built_in:
            logger.info("%s is not there; its released settings are built in", base)
        options = _merged(known.defaults(), settings, for_training=for_training)
        return to_model_config(options, name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_settings(path: Path) -> dict[str, Any]:
    """Return {dotted key: value} of all that a YAML file and its `_BASE_` chain set.

    Raises:
        ValueError: a file cannot be read.
    """
    return _read_chain(path, (), [])


def with_overrides(config: ModelConfig, overrides: Sequence[str]) -> ModelConfig:
    """Return the configuration with AdelaiDet's options KEY VALUE KEY VALUE … applied.

    Raises:
        ValueError: as `read_config`.
    """
    if not overrides:
        return config
    return to_model_config(_merged(options_of(config), _pairs(overrides)), config.name)


def _read_chain(path: Path, above: tuple[Path, ...], built_in: list[Path]) -> dict[str, Any]:
    """Return {dotted key: value} of a file and its bases, the file's own last.

    Args:
        above: the files that led here. built_in: receives the bases that need no file.
    """
    place = path.expanduser().resolve()
    if place in above:
        names = " -> ".join(p.name for p in (*above, place))
        raise ValueError(f"{_BASE} goes round in a circle: {names}")
    advice = f"; copy it there, the file names it as its {_BASE}" if above else ""
    content = read_document(path, missing=advice)
    bases = content.pop(_BASE, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ValueError(f"{_BASE} is {bases!r}; the name of a file would be right")
    settings: dict[str, Any] = {}
    for base in bases:
        base_path = path.parent / Path(base).expanduser()
        if base_path.name == _BUILT_IN_BASE and not base_path.exists():
            built_in.append(base_path)
            continue
        settings |= _read_chain(base_path, (*above, place), built_in)
    return settings | dict(_flattened(content, ""))


def _flattened(content: Mapping[Any, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _decoded(value)


def _pairs(overrides: Sequence[str]) -> dict[str, Any]:
    if len(overrides) % 2:
        raise ValueError(
            f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value after it"
        )
    return {
        str(key): _decoded(value)
        for key, value in zip(overrides[::2], overrides[1::2], strict=True)
    }


def _decoded(value: Any) -> Any:
    """Return a text as the Python literal it spells, as detectron2 reads it: "(640, 672)"."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _merged(
    options: dict[str, Any], settings: Mapping[str, Any], *, for_training: bool = False
) -> dict[str, Any]:
    """Return the options with the settings in them; those that nothing reads are logged."""
    unread: set[str] = set()
    for key, value in settings.items():
        ignored = known.unread_name(key)
        if ignored is None:
            options[key] = known.checked(key, value)
        elif not (for_training and is_followed(key)):
            unread.add(ignored)
    if unread:
        reader = "training" if for_training else "prediction"
        logger.info("options that %s does not read: %s", reader, ", ".join(sorted(unread)))
    return options
