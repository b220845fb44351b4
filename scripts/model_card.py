"""The figures of a model card, from a report of `python -m model.evaluate` and a run's files."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stuff_pixels import StuffPixels

from model.checkpoints import checkpoint as checkpoints

_BEGIN, _END = "<!-- figures: written by scripts/demo_weights.py -->", "<!-- end of figures -->"
_SUMMARY = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_small": "small",
    "AP_medium": "medium",
    "AP_large": "large",
}
_LEAST_OBJECTS = 8  # of a class, for a row of its own
_PAUSED = 5  # times slower than usual


def fill(
    card: Path,
    *,
    report: Mapping[str, Any],
    stuff: StuffPixels,
    weights: Path,
    commands: Sequence[str],
    hours: float,
    hardware: str,
) -> None:
    """Replace what stands between the card's two marks.

    Raises:
        ValueError: the card lacks the marks.
    """
    before, begin, rest = card.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{card} has no place for figures: {_BEGIN} … {_END}")
    blocks = [
        _scores(report),
        _partitions(report),
        _classes(report),
        _stuff(report),
        _pixels(stuff),
        _file(weights, hours, hardware),
        "```\n" + "\n\n".join(commands) + "\n```",
    ]
    text = "\n\n".join([before + begin, *blocks, end + after])
    card.write_text(text, encoding="utf-8")


def training_hours(kept: Path) -> float:
    """Return the hours of a run's steps up to a checkpoint in its folder.

    Evaluation and saving are not counted.

    Rows that are many times slower than the median hold a pause: the process was stopped for
    other work. They count as if they had the median speed.
    """
    provenance = checkpoints.load(kept).provenance
    recipe = json.loads(provenance["recipe"])
    per_step = recipe["batch_size"] * recipe["accumulate"]
    lines = kept.with_name("metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = int(provenance["iteration"].split()[0])  # "N of M"
    rows = [row for row in map(json.loads, lines) if "images_per_s" in row]
    rows = [row for row in rows if row["iteration"] <= last]
    usual = statistics.median(row["images_per_s"] for row in rows)
    seconds, before = 0.0, 0
    for row in rows:
        speed = row["images_per_s"]
        if speed < usual / _PAUSED:
            speed = usual
        seconds += (row["iteration"] - before) * per_step / speed
        before = row["iteration"]
    return seconds / 3600


def _scores(report: Mapping[str, Any]) -> str:
    pictures = report["pictures"]["measured"]
    rows = [[f"AP on {pictures} val2017 pictures, %", *_SUMMARY.values()]]
    rows += [
        [kind, *(percent(report[kind][name]) for name in _SUMMARY)] for kind in ("box", "mask")
    ]
    return _table(rows)


def _partitions(report: Mapping[str, Any]) -> str:
    rows = [["panoptic quality there, %", "PQ", "SQ", "RQ", "kinds"]]
    for kind in ("all", "things", "stuff"):
        numbers = report["panoptic"][kind]
        told = [percent(numbers[name]) for name in ("PQ", "SQ", "RQ")]
        rows.append([kind, *told, str(numbers["num_categories"])])
    return _table(rows)


def _stuff(report: Mapping[str, Any]) -> str:
    things = {row["id"] for row in report["per_class"]["box"]}
    rows = [["stuff, %", "segments there", "PQ", "SQ", "RQ"]]
    for row in report["per_class"]["panoptic"]:
        segments = row["num_matched"] + row["num_missed"]
        if row["id"] not in things and segments:
            told = [percent(row[name]) for name in ("PQ", "SQ", "RQ")]
            rows.append([row["name"], str(segments), *told])
    return _table(rows)


def _pixels(stuff: StuffPixels) -> str:
    share = percent(stuff.labelled / stuff.known if stuff.known else None)
    right = percent(stuff.right / stuff.labelled if stuff.labelled else None)
    return (
        f"Of the pixels there whose kind of stuff is known it labels {share} % as stuff, "
        f"{right} % of those rightly, where kinds that look alike (a brick wall and a wall, sea "
        "and river) count as one (`scripts/stuff_pixels.py`)."
    )


def _classes(report: Mapping[str, Any]) -> str:
    by_name = {
        kind: {row["name"]: row for row in report["per_class"][kind]} for kind in ("box", "mask")
    }
    rows = [["class, %", "objects there", "box AP", "box AP50", "mask AP", "mask AP50"]]
    for name, box in by_name["box"].items():
        if box["num_truths"] < _LEAST_OBJECTS:
            continue
        mask = by_name["mask"][name]
        numbers = [percent(row[key]) for row in (box, mask) for key in ("AP", "AP50")]
        rows.append([name, str(box["num_truths"]), *numbers])
    return _table(rows)


def _file(weights: Path, hours: float, hardware: str) -> str:
    shipped = checkpoints.load(weights)
    size = weights.stat().st_size / 1e6
    numbers = sum(tensor.numel() for tensor in shipped.tensors.values())
    return _table(
        [
            ["", ""],
            ["file", f"`model/weights/{weights.name}`, {size:.1f} MB"],
            ["sha256", f"`{shipped.sha256}`"],
            ["numbers", f"{numbers:,}, kernels in float16"],
            ["iteration", shipped.provenance["iteration"]],
            ["trained on", f"{hardware}, {hours:.1f} hours of steps"],
        ]
    )


def percent(value: float | None) -> str:
    """Return a share in percent, a dash for none."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
