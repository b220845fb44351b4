"""Puts the answers of a job's pictures together as the body of a response."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from model.answer import model_member
from service.engine import ModelInfo


def to_json(value: Any) -> bytes:
    """Return compact UTF-8 JSON. ValueError if a number is infinite or not one."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def join_answers(model: ModelInfo, bodies: Sequence[bytes]) -> bytes:
    """Return the whole native answer from its images' members, which are JSON already."""
    member = to_json(model_member(model.name, model.sha256, model.categories))
    return b'{"model":' + member + b',"images":[' + b",".join(bodies) + b"]}"
