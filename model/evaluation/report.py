"""What an evaluation leaves behind: numbers, and all that is needed to trust or repeat them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.categories import Categories
from model.config import ModelConfig
from model.evaluation.data import EvaluationData, Picture
from model.evaluation.shared_classes import SharedClasses

_VAL2017_PICTURES = 5000


def model_section(config: ModelConfig, categories: Categories) -> dict[str, Any]:
    """Return what a report says of the network, but for the digest of its weights."""
    return {
        "name": config.name,
        "categories": categories.name,
        "configuration": config.to_dict(),
    }


def data_section(data: EvaluationData) -> dict[str, Any]:
    """Return the names and digests of the annotation files."""
    files = {"annotations": data.instances, "panoptic": data.panoptic}
    return {
        name: {"file": file.name, "sha256": file.sha256} for name, file in files.items() if file
    }


def pictures_section(
    data: EvaluationData,
    chosen: Sequence[Picture],
    measured: Sequence[Picture],
    failed: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return how many pictures there are, were chosen and measured, and which could not be."""
    return {
        "in_file": len(data.pictures),
        "chosen": len(chosen),
        "measured": len(measured),
        "failed": list(failed),
    }


def merge(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics' reports as one: of "per_class" and "counts" each brings its part."""
    merged: dict[str, Any] = {}
    for report in reports:
        for name, value in report.items():
            merged[name] = {**merged.get(name, {}), **value}
    return merged


def notes(
    pictures: Mapping[str, Any],
    measured: Sequence[Picture],
    counts: Mapping[str, int],
    classes: Mapping[str, SharedClasses],
) -> list[str]:
    """Return what whoever reads the numbers must know.

    Args:
        pictures: of `pictures_section`.
        counts: of the metrics.
        classes: of each task.
    """
    found = []
    if pictures["chosen"] < pictures["in_file"]:
        found.append(
            f"a subset: the first {pictures['chosen']} of the file's {pictures['in_file']} pictures"
        )
    if pictures["failed"]:
        failed = len(pictures["failed"])
        found.append(f"{failed} picture{_s(failed)} could not be read: no part of the numbers")
    if len(measured) < _VAL2017_PICTURES and all("/val2017/" in p.origin for p in measured):
        found.append(
            f"{len(measured)} of val2017's {_VAL2017_PICTURES} pictures: "
            "these are not figures of the full set"
        )
    boxes_only = counts.get("truths_without_mask", 0)
    if boxes_only:
        verb = "has" if boxes_only == 1 else "have"
        found.append(
            f"{boxes_only} object{_s(boxes_only)} {verb} a box only: "
            "mask AP ignores what lies in it"
        )
    return found + [_left_out(task, shared) for task, shared in classes.items() if shared.is_part]


def _left_out(task: str, shared: SharedClasses) -> str:
    reasons = [
        f"{len(left_out)} that {reason}"
        for left_out, reason in (
            (shared.model_only, "only the model has"),
            (shared.data_only, "only the data has"),
            (shared.unlabelled, "the data do not label"),
        )
        if left_out
    ]
    num_evaluated = len(shared.ids)
    return (
        f"{task}: {num_evaluated} class{'' if num_evaluated == 1 else 'es'} evaluated, "
        f"left out: {', '.join(reasons)}"
    )


def _s(number: int) -> str:
    return "" if number == 1 else "s"
