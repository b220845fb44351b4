"""A report in aligned columns, for people: percentages, a dash where there is no number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_AP = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_small": "APs",
    "AP_medium": "APm",
    "AP_large": "APl",
    "AR_1": "AR1",
    "AR_10": "AR10",
    "AR_100": "AR100",
    "AR_small": "ARs",
    "AR_medium": "ARm",
    "AR_large": "ARl",
}
_QUALITY = ("PQ", "SQ", "RQ")


def summary(report: dict[str, Any]) -> str:
    """Return the numbers over all classes, and the notes."""
    blocks = []
    kinds = [kind for kind in ("box", "mask") if kind in report]
    if kinds:
        rows = [[kind, *(_percent(report[kind][key]) for key in _AP)] for kind in kinds]
        blocks.append(_aligned([["", *_AP.values()], *rows]))
    if "panoptic" in report:
        rows = [
            [name, *(_percent(group[key]) for key in _QUALITY), str(group["num_categories"])]
            for name, group in report["panoptic"].items()
        ]
        blocks.append(_aligned([["", *_QUALITY, "classes"], *rows]))
    pictures, speed = report["pictures"]["measured"], report["pictures_per_second"]
    lines = [f"{pictures} picture{'' if pictures == 1 else 's'}, {speed:.3g} a second"]
    blocks.append("\n".join(lines + [f"note: {note}" for note in report["notes"]]))
    return "\n\n".join(blocks)


def classes_table(report: dict[str, Any]) -> str:
    """Return a line for each class: what was to be found, and the numbers of every task."""
    tables = {kind: {r["id"]: r for r in rows} for kind, rows in report["per_class"].items()}
    names = {i: row["name"] for table in tables.values() for i, row in table.items()}
    columns = [("box", key) for key in ("num_truths", "AP", "AP50")]
    columns += [("mask", key) for key in ("AP", "AP50")]
    columns += [("panoptic", key) for key in _QUALITY]
    columns = [(kind, key) for kind, key in columns if kind in tables]
    header = ["id", "class", *(_heading(kind, key) for kind, key in columns)]
    rows = [
        [str(i), names[i], *(_cell(tables[kind].get(i, {}), key) for kind, key in columns)]
        for i in sorted(names)
    ]
    return _aligned([header, *rows], num_left=2)


def _heading(kind: str, key: str) -> str:
    if key == "num_truths":
        return "objects"
    return key if kind == "panoptic" else f"{kind} {key}"


def _cell(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return str(value) if isinstance(value, int) else _percent(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _aligned(rows: Sequence[Sequence[str]], num_left: int = 1) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < num_left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
