"""What `bench/serve.py` can measure on this server alone."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from serve_compare import compare_bodies
from serve_load import Plan, Sent
from serve_numbers import count_codes, counted, figures, growth, row, table
from serve_process import MemoryWatch, Target, metrics, ours, put_load, started

_GENERATOR_RATES = (100.0, 500.0, 2000.0)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a run is made of.

    weights: None leaves the server its default. threads: of the numerical libraries, each process.
    flags: more flags of the server. seconds: of each phase, the first `warm_up_s` not counted.
    """

    weights: str
    photos: list[str]
    threads: int
    flags: list[str]
    seconds: float
    warm_up_s: float
    rounds: int
    clients: int
    deadline_s: float
    max_batch: int
    number: int
    seed: int

    def serve(self, *more: str) -> AbstractContextManager[Target]:
        """Start this server."""
        flags = ["--weights", self.weights, "--deadline-s", str(self.deadline_s)]
        return started(
            "blendmask",
            ours([*flags, *self.flags, *more]),
            path="/segment",
            ready="/readyz",
            threads=self.threads,
        )

    def plan(self, target: Target, **changes: Any) -> Plan:
        """Return a plan for that server; `changes` are members of `Plan`."""
        plan = Plan(
            host=target.host,
            port=target.port,
            path=target.path,
            form_field=target.form_field,
            files=self.photos,
            seconds=self.seconds,
            seed=self.seed,
            timeout_s=self.deadline_s + 10,
        )
        return replace(plan, **changes)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report: Markdown, and the same as data."""

    title: str
    text: str
    data: Any


def generator(setup: Setup) -> Section:
    """What the generator itself can do, against a server that does nothing."""
    command = [sys.executable, str(Path(__file__).with_name("serve_process.py"))]
    rows = []
    with started("nothing", command, path="/", ready="/", threads=1) as target:
        for rate in (None, *_GENERATOR_RATES):
            requests, cpu = put_load(setup.plan(target, clients=32, rate=rate))
            rows.append(
                {"load": "32 clients" if rate is None else f"{rate:g} a second"}
                | row(_figures(setup, requests))
                | {"generator's CPU s": cpu}
            )
    return Section(
        title="The generator's own ceiling",
        text="Against a server of one constant:\n\n" + table(rows),
        data=rows,
    )


def capacity(setup: Setup, target: Target) -> tuple[float, Section]:
    """Return the most requests a second that closed-loop clients get, and the section."""
    rows, peak = [], 0.0
    clients = 1
    while clients <= setup.clients:
        before = metrics(target)
        requests, cpu = put_load(setup.plan(target, clients=clients))
        found = _figures(setup, requests)
        peak = max(peak, found.throughput)
        rows.append({"clients": clients, **row(found), "generator's CPU s": cpu})
        rows[-1]["server"] = counted(before, metrics(target))
        clients *= 2
    return peak, Section(
        title=f"Capacity: {peak:.1f} requests/s",
        text=table([{k: v for k, v in r.items() if k != "server"} for r in rows])
        + "\n\nThe server's own counts in the last phase:\n\n"
        + _counts(rows[-1]["server"]),
        data=rows,
    )


def sweep(setup: Setup, target: Target, peak: float) -> Section:
    """Open-loop load below and beyond the capacity."""
    rows, texts = [], []
    for percent in (50, 90, 120, 200):
        before = metrics(target)
        assert target.pid is not None
        with MemoryWatch(target.pid) as watch:
            requests, cpu = put_load(setup.plan(target, rate=peak * percent / 100))
        found = _figures(setup, requests)
        server = counted(before, metrics(target))
        rows.append(
            {
                "load": f"{percent} %",
                **row(found),
                "goodput / capacity": found.goodput / peak,
                "generator's CPU s": cpu,
                "memory": [asdict(sample) for sample in watch.samples],
                "server": server,
            }
        )
        grown = growth(watch.samples, [sent.done for sent in requests])
        memory = ", ".join(f"{g.role} {g.first:.0f} → {g.last:.0f} MiB" for g in grown)
        texts.append(f"**{percent} %**: {memory}.\n\n{_counts(server)}")
    shown = [{k: v for k, v in r.items() if k not in ("memory", "server")} for r in rows]
    return Section(
        title="Open loop at a share of the capacity",
        text=table(shown) + "\n\n" + "\n\n".join(texts),
        data=rows,
    )


def memory(setup: Setup, target: Target) -> Section:
    """Memory over many requests; the first third counts as warm-up."""
    assert target.pid is not None
    with MemoryWatch(target.pid) as watch:
        requests, _ = put_load(
            setup.plan(target, clients=setup.clients, number=setup.number, seconds=1e6)
        )
    begun, ended = min(s.due for s in requests), max(s.done for s in requests)
    settled = [s for s in watch.samples if s.time >= begun + (ended - begun) / 3]
    grown = growth(settled, [sent.done for sent in requests])
    codes = ", ".join(f"{code}: {n}" for code, n in count_codes(requests).items())
    return Section(
        title=f"Memory over {len(requests)} requests",
        text=f"Answers: {codes}. After the first third, in MiB:\n\n"
        + table([asdict(one) for one in grown]),
        data={
            "growth": [asdict(one) for one in grown],
            "samples": [asdict(sample) for sample in watch.samples],
        },
    )


def same_bytes(setup: Setup, target: Target) -> Section:
    """Answers to each photo alone and under load, compared byte for byte."""
    draw = random.Random(setup.seed)
    photos = draw.sample(range(len(setup.photos)), min(setup.number, len(setup.photos)))
    with TemporaryDirectory() as alone, TemporaryDirectory() as crowd:
        plan = setup.plan(target, seconds=1e6, order=photos, number=len(photos), keep=alone)
        put_load(plan)
        order = [photo for _ in range(setup.rounds) for photo in draw.sample(photos, len(photos))]
        in_company, _ = put_load(
            replace(plan, order=order, number=len(order), clients=setup.clients, keep=crowd)
        )
        found = compare_bodies(Path(alone), Path(crowd))
    text = (
        f"{len(photos)} photos alone, then {len(order)} requests from {setup.clients} clients "
        f"({', '.join(f'{c}: {n}' for c, n in count_codes(in_company).items())}): "
        f"{found.same} of {found.compared} answers the same byte for byte."
    )
    if found.same < found.compared:
        text += f" Of the others: {found.differences()}."
    return Section(title="The same answer in any company", text=text, data=asdict(found))


def _figures(setup: Setup, requests: Sequence[Sent]) -> Any:
    return figures(
        requests,
        warm_up_s=setup.warm_up_s,
        seconds=setup.seconds,
        deadline_s=setup.deadline_s,
    )


def _counts(server: dict[str, float]) -> str:
    return "\n".join(f"- {name}: {value:.4g}" for name, value in sorted(server.items()))
