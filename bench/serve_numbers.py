"""From single requests to the figures of a report."""

from __future__ import annotations

import bisect
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from serve_load import CUT, LATE, Sent
from serve_process import MemorySample

_OK = 200


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A phase of load after its warm-up. Rates are per second, times in milliseconds from `due`.

    goodput: answers with 200 within the deadline. lag_p99: how late the generator itself sent.
    """

    offered: float
    throughput: float
    goodput: float
    p50: float
    p95: float
    p99: float
    refused_p99: float
    lag_p99: float
    codes: dict[str, int]


def figures(
    requests: Sequence[Sent], *, warm_up_s: float, seconds: float, deadline_s: float
) -> Figures:
    """Return the figures of what was due (codes, times) and what was done (rates) after warm-up."""
    start = min(sent.due for sent in requests)
    begin, end = start + warm_up_s, start + seconds
    due = [sent for sent in requests if begin <= sent.due < end]
    done = [sent for sent in requests if begin <= sent.done < end and sent.code == _OK]
    accepted = [_milliseconds(sent) for sent in due if sent.code == _OK]
    refused = [_milliseconds(sent) for sent in due if sent.code not in (_OK, CUT, LATE)]
    in_time = [sent for sent in done if sent.done - sent.due <= deadline_s]
    return Figures(
        offered=len(due) / (end - begin),
        throughput=len(done) / (end - begin),
        goodput=len(in_time) / (end - begin),
        p50=percentile(accepted, 50),
        p95=percentile(accepted, 95),
        p99=percentile(accepted, 99),
        refused_p99=percentile(refused, 99),
        lag_p99=percentile([1e3 * (sent.sent - sent.due) for sent in due], 99),
        codes=count_codes(due),
    )


def count_codes(requests: Iterable[Sent]) -> dict[str, int]:
    """Return how many ended with each code, in words where there was none."""
    words = {CUT: "cut", LATE: "no answer"}
    counts = Counter(words.get(sent.code, str(sent.code)) for sent in requests)
    return dict(sorted(counts.items()))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that at least so many percent do not exceed; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def counted(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what the server's own counters grew by, and the mean of each of its histograms.

    Only what tells of batches and refusals; stages as milliseconds.
    """
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    found: dict[str, float] = {}
    for name, total in grown.items():
        series = re.fullmatch(r"(\w+)_sum(\{.*\})?", name)
        number = grown.get(f"{series[1]}_count{series[2] or ''}", 0.0) if series else 0.0
        if series and number > 0 and ("batch" in name or "stage" in name):
            unit = 1e3 if series[1].endswith("seconds") else 1.0
            label = series[1] + (series[2] or "")
            found[f"mean {label}{' (ms)' if unit > 1 else ''}"] = unit * total / number
        elif total > 0 and re.match(r"\w*(refus|reject|drop|retr|restart)\w*_total", name):
            found[name] = total
    return found


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One process's private memory in MiB, and how it grows by a straight line through it."""

    role: str
    pid: int
    first: float
    last: float
    largest: float
    per_1000_requests: float


def growth(samples: Sequence[MemorySample], requests_done: Sequence[float]) -> list[Growth]:
    """Return each process's growth.

    Args:
        requests_done: the times at which requests ended, on the samples' clock.
    """
    done = sorted(requests_done)
    found = []
    for pid in dict.fromkeys(sample.pid for sample in samples):
        own = [sample for sample in samples if sample.pid == pid]
        if len(own) < 3:
            continue
        counts = [bisect.bisect(done, sample.time) / 1000 for sample in own]
        slope = 0.0
        if len(set(counts)) > 1:
            slope = statistics.linear_regression(counts, [sample.private for sample in own]).slope
        found.append(
            Growth(
                role=own[0].role,
                pid=pid,
                first=own[0].private,
                last=own[-1].private,
                largest=max(sample.private for sample in own),
                per_1000_requests=slope,
            )
        )
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table with the first row's keys as its head."""
    if not rows:
        return "(none)"
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)


def row(figures_: Figures) -> dict[str, Any]:
    """Return the figures as the cells of a row."""
    cells = asdict(figures_)
    cells["codes"] = ", ".join(f"{code}: {number}" for code, number in figures_.codes.items())
    return cells


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _milliseconds(sent: Sent) -> float:
    return 1e3 * (sent.done - sent.due)
