"""A category that stands for the group of all the others, as Roboflow writes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.datasets.findings import Findings
from model.datasets.numbers_as_text import as_id, as_number


def without_root(document: Mapping[str, Any], findings: Findings) -> list[Any]:
    """Return a file's categories but one that only groups the others.

    Its id is 0, no annotation has it, and all the others name it as their supercategory. It may
    have the name of one of them.
    """
    rows = document["categories"]
    roots = [row for row in rows if isinstance(row, dict) and _number(row.get("id")) == 0]
    others = [row for row in rows if not any(row is root for root in roots)]
    if len(roots) != 1 or not others:
        return list(rows)
    name = roots[0].get("name")
    groups = all(isinstance(row, dict) and row.get("supercategory") == name for row in others)
    is_used = any(
        isinstance(row, dict) and _number(row.get("category_id")) == 0
        for row in document["annotations"]
    )
    if not groups or is_used:
        return list(rows)
    findings.add("root_category", f"0 {name!r:.60}")
    return others


def _number(value: Any) -> Any:
    return as_id(as_number(value))
