"""Why an evaluation has no number: mostly ids that name nothing on the other side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from model.evaluation.data import EvaluationData

_NUM_NAMED = 6
_PREFIX = "there was nothing to be found, so there is no number"


def why_no_numbers(report: dict[str, Any], data: EvaluationData) -> str | None:
    """Return why nothing was to be found, in a sentence; None where anything was.

    Args:
        report: of `evaluate`, on these data.
    """
    numbers = [report[kind]["AP"] for kind in ("box", "mask") if kind in report]
    if "panoptic" in report:
        numbers.append(report["panoptic"]["all"]["PQ"])
    if any(number is not None for number in numbers):
        return None
    if data.instances is None:
        assert data.panoptic is not None
        return f"{_PREFIX}: no segment of {data.panoptic.name} is of an evaluated class"
    return f"{_PREFIX}: {_of_annotations(report, data, data.instances.name)}"


def _of_annotations(report: dict[str, Any], data: EvaluationData, name: str) -> str:
    annotations = [a for picture in data.pictures for a in picture.annotations]
    if not annotations:
        return (
            f"no annotation of {name} can be used; its image_id must be the id of a picture there, "
            "its category_id that of a category"
        )
    evaluated = {row["id"] for rows in report["per_class"].values() for row in rows}
    of_classes = [a for a in annotations if a.category_id in evaluated]
    if not of_classes:
        theirs = _listed({a.category_id for a in annotations})
        return (
            f"the annotations of {name} are of the categories {theirs}, "
            f"and {_listed(evaluated)} are evaluated"
        )
    if all(a.is_crowd for a in of_classes):
        return f"the annotations of {name} are crowds (iscrowd: 1), which count for nothing"
    return f"the annotations of {name} are in pictures that were not measured"


def _listed(ids: Iterable[int]) -> str:
    ordered = sorted(ids)
    more = f" and {len(ordered) - _NUM_NAMED} more" if len(ordered) > _NUM_NAMED else ""
    return ", ".join(map(str, ordered[:_NUM_NAMED])) + more
