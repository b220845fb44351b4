"""Puts the answers of a job's pictures together as the body of a response."""

from __future__ import annotations

from collections.abc import Sequence

from model.answers.json_answer import model_member
from service.engine import ModelInfo
from service.json_bytes import to_json


def join_answers(model: ModelInfo, bodies: Sequence[bytes]) -> bytes:
    """Return the whole native answer from its images' members, which are JSON already."""
    member = to_json(model_member(model.name, model.sha256, model.categories))
    return b'{"model":' + member + b',"images":[' + b",".join(bodies) + b"]}"
