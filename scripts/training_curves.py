"""A run's losses and scores as a picture: `python scripts/training_curves.py RUN SVG`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_SMOOTHED_OVER = 25  # rows of metrics.jsonl to either side


def draw(run: Path, picture: Path) -> None:
    """Draw a run's total loss, and the box and mask AP of its evaluations.

    Raises:
        ValueError: the run has left no losses.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    losses = curve(run / "metrics.jsonl", "loss")
    if not losses:
        raise ValueError(f"{run} has no losses in metrics.jsonl")
    with rc_context({"svg.hashsalt": "curves", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        steps = [step / 1000 for step, _ in losses]
        left.plot(steps, [value for _, value in losses], color="#c7d3e0", linewidth=0.6)
        left.plot(steps, smoothed([value for _, value in losses]), color="#1f4e79")
        left.set(title="training loss", xlabel="thousand steps", ylim=(0, None))
        for kind, colour in (("box", "#b8860b"), ("mask", "#1f4e79")):
            points = curve(run / "metrics.jsonl", f"{kind}_AP")
            right.plot(
                [step / 1000 for step, _ in points],
                [100 * value for _, value in points],
                color=colour,
                label=kind,
                marker="o",
                markersize=2.5,
            )
        right.set(title="AP on pictures held out, %", xlabel="thousand steps", ylim=(0, None))
        right.legend(frameon=False)
        for axes in (left, right):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(picture, format="svg", metadata={"Date": None})


def curve(metrics: Path, name: str) -> list[tuple[int, float]]:
    """Return (iteration, value) of every row that has the value, in order, each step once."""
    found: dict[int, float] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        if name in row:
            found[row["iteration"]] = row[name]
    return sorted(found.items())


def smoothed(values: list[float], reach: int = _SMOOTHED_OVER) -> list[float]:
    """Return the mean of each value and its neighbours, as many on one side as on the other."""
    means = []
    for place in range(len(values)):
        near = min(reach, place, len(values) - 1 - place)
        window = values[place - near : place + near + 1]
        means.append(sum(window) / len(window))
    return means


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
