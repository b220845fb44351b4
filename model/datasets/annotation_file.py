"""A COCO-style JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """Return a COCO-style file's content.

    Raises:
        ValueError: it can't be read, or lacks `images`, `annotations` or `categories`.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from None
    for member in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(member), list):
            raise ValueError(f"{path} is not COCO-style: it has no list {member!r}")
    return dict(document)
