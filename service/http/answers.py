"""Puts the answers of a job's pictures together as the body of a response."""

from __future__ import annotations

from collections.abc import Sequence

from model.answers.dialects.choice import join
from model.answers.json_answer import model_member
from service.engine import ModelInfo, PictureTask


def join_answers(asked: PictureTask, model: ModelInfo, bodies: Sequence[bytes]) -> bytes:
    """Return the whole answer from its images' parts, which are JSON already."""
    member = model_member(model.name, model.sha256, model.categories)
    return join(asked.format, member, bodies, is_panoptic=asked.task == "panoptic")
