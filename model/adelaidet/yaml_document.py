"""A YAML file of options, read with care: nothing is run, lost or blown up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# All options of detectron2 and AdelaiDet together are under a thousand.
_MOST_VALUES = 100_000


def read_document(path: Path, missing: str = "") -> dict[Any, Any]:
    """Return what the file holds.

    Args:
        missing: what to add to the message where there is no such file.
    Raises:
        ValueError: it cannot be read, is no plain YAML, holds no options or one of them twice,
            or its aliases make it huge.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}{missing}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no plain YAML: {reason}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to hold options") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; options would be right")
    if _size(content, {}) > _MOST_VALUES:
        raise ValueError(
            f"{path} has more than {_MOST_VALUES:,} values once its aliases are followed; "
            "options that do not hold each other would be right"
        )
    return content


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with tuples, which older dumps are full of; no name comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping.

        Raises:
            ConstructorError: a name stands in it twice; the first would be lost.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value} stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple",
    lambda loader, node: loader.construct_sequence(node),  # type: ignore[arg-type]
)


def _size(value: object, known: dict[int, int]) -> int:
    """Return how many values it has once every alias is written out; many if it holds itself."""
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES
        members = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(member, known) for member in members)
    return known[id(value)]
