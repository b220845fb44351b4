"""This server beside the loop without a server, and beside LitServe; rounds take turns."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from serve_bare import PAUSE_S, Bare, bare_loop
from serve_load import Sent
from serve_modes import Section, Setup
from serve_numbers import figures, percentile, row, table
from serve_process import Target, put_load, started

A = TypeVar("A")
_BLOCK = 10  # pictures
_LITSERVE_LOADS = (0.5, 0.9, 2.0)


def overhead(setup: Setup) -> Section:
    """What the server costs beside a bare `Predictor` loop over the same pictures."""
    draw = random.Random(setup.seed)
    order = [draw.randrange(len(setup.photos)) for _ in range(setup.number)]
    files = [setup.photos[picture] for picture in order]
    with setup.serve() as target, bare_loop(setup.weights, setup.threads) as bare:
        _warm_up(setup, target, bare, files, order)
        singles = [_one_by_one(setup, target, bare, order) for _ in range(setup.rounds)]
        bulks = _in_turns(
            setup.rounds,
            lambda: len(files) / bare.run("ahead", files, setup.max_batch)["total"],
            lambda: _rate(setup, target, order),
        )
    added = [_median(server) - _median(loop) for loop, server, _ in singles]
    pairs = [b - a for loop, server, _ in singles for a, b in zip(loop, server, strict=True)]
    awake = [_median(server) - _median(paced) for _, server, paced in singles]
    losses = [1 - server / loop for loop, server in bulks]
    rows = [
        {
            "round": number,
            "loop p50 ms": _median(single[0]),
            "server p50 ms": _median(single[1]),
            "added ms": added[number],
            "paced loop p50 ms": _median(single[2]),
            "loop pictures/s": bulk[0],
            "server pictures/s": bulk[1],
            "lost %": 100 * losses[number],
        }
        for number, (single, bulk) in enumerate(zip(singles, bulks, strict=True))
    ]
    text = (
        f"{len(order)} pictures a round, {setup.threads} threads in either process. One at a time "
        f"the server adds {_median(added):.2f} ms at p50 (median of the rounds; "
        f"{percentile(pairs, 50):.2f} ms as the median over pairs of the same picture), and "
        f"{_median(awake):.2f} ms to the same loop with a sleep of {1e3 * PAUSE_S:g} ms before "
        "each picture, not counted: what it costs to wake up, any server must pay. From "
        f"{setup.clients} clients it has {100 * _median(losses):.1f} % less throughput than the "
        f"loop with decoding ahead and batches of up to {setup.max_batch} of one canvas, which "
        "shares the machine with no generator.\n\n"
    )
    return Section(
        title="Beside a bare Predictor loop",
        text=text + table(rows),
        data={"rounds": rows, "singles": singles, "bulks": bulks},
    )


def litserve(setup: Setup) -> Section:
    """The same Predictor, pictures and load, behind this server and behind LitServe."""
    batch_timeout_s = 0.01
    command = [
        sys.executable,
        str(Path(__file__).with_name("litserve_app.py")),
        *("--weights", setup.weights, "--max-batch", str(setup.max_batch)),
        *("--batch-timeout", str(batch_timeout_s), "--timeout", str(setup.deadline_s)),
    ]
    with (
        setup.serve() as one,
        started(
            "LitServe", command, path="/predict", ready="/health", threads=setup.threads
        ) as other,
    ):
        targets = (one, other)
        for target in targets:
            put_load(setup.plan(target, clients=setup.clients, seconds=setup.warm_up_s))
        rows = [
            {"load": f"{setup.clients} clients", **found}
            for found in _beside(setup, targets, {"clients": setup.clients})
        ]
        peak = max(found["throughput"] for found in rows)
        for share in _LITSERVE_LOADS:
            load = {"rate": share * peak}
            rows += [
                {"load": f"{share * peak:.1f}/s", **found}
                for found in _beside(setup, targets, load)
            ]
    ratio = rows[0]["throughput"] / rows[1]["throughput"]
    text = (
        f"Batches of up to {setup.max_batch} in both; LitServe waits {1e3 * batch_timeout_s:g} ms "
        "for a batch to fill, with its ZeroMQ queue and one worker. Medians of "
        f"{setup.rounds} rounds in turns; this server has {ratio:.2f} × its throughput "
        f"from {setup.clients} clients.\n\n"
    )
    return Section(title="Beside LitServe", text=text + table(rows), data=rows)


def _beside(setup: Setup, targets: Sequence[Target], load: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target's row of medians over the rounds."""
    runs: dict[str, list[dict[str, Any]]] = {target.name: [] for target in targets}
    for _ in range(setup.rounds):
        for target in targets:
            requests, _ = put_load(setup.plan(target, **load))
            found = figures(
                requests,
                warm_up_s=setup.warm_up_s,
                seconds=setup.seconds,
                deadline_s=setup.deadline_s,
            )
            runs[target.name].append({**asdict(found), "codes": row(found)["codes"]})
    return [
        {
            "server": name,
            **{
                key: _median([run[key] for run in own])
                for key in ("offered", "throughput", "goodput", "p50", "p95", "p99")
            },
            "codes": own[-1]["codes"],
        }
        for name, own in runs.items()
    ]


def _one_by_one(
    setup: Setup, target: Target, bare: Bare, order: Sequence[int]
) -> tuple[list[float], ...]:
    """Return the milliseconds of each picture in the loop, from the server, in the paced loop.

    They take turns after a few pictures, so that a machine which is slow for some seconds, as a
    shared one is, is slow for all of them.
    """

    def times(mode: str, some: Sequence[int]) -> list[float]:
        files = [setup.photos[picture] for picture in some]
        return [1e3 * seconds for seconds in bare.run(mode, files, 1)["each"]]

    blocks = [list(order[i : i + _BLOCK]) for i in range(0, len(order), _BLOCK)]
    turns = [
        _in_turns(
            1,
            partial(times, "alone", block),
            partial(_latencies, setup, target, block),
            partial(times, "paced", block),
            first=number,
        )[0]
        for number, block in enumerate(blocks)
    ]
    return tuple([ms for turn in turns for ms in turn[index]] for index in range(3))


def _in_turns(rounds: int, *runs: Callable[[], A], first: int = 0) -> list[tuple[A, ...]]:
    """Run all of them as often as asked, beginning with another one each time."""
    found = []
    for number in range(first, first + rounds):
        shift = number % len(runs)
        order = [*range(shift, len(runs)), *range(shift)]
        done = {index: runs[index]() for index in order}
        found.append(tuple(done[index] for index in range(len(runs))))
    return found


def _warm_up(
    setup: Setup, target: Target, bare: Bare, files: Sequence[str], order: list[int]
) -> None:
    few = min(len(files), 32)
    for mode in ("alone", "ahead"):
        bare.run(mode, files[:few], setup.max_batch)
    put_load(setup.plan(target, clients=setup.clients, order=order, number=4 * few, seconds=1e6))


def _closed(setup: Setup, target: Target, order: list[int], clients: int) -> list[Sent]:
    plan = setup.plan(target, clients=clients, order=order, number=len(order), seconds=1e6)
    requests, _ = put_load(plan)
    bad = [sent.code for sent in requests if sent.code != 200]
    assert not bad, f"the server did not answer all with 200: {bad[:5]}"
    return sorted(requests, key=lambda sent: sent.number)


def _latencies(setup: Setup, target: Target, order: list[int]) -> list[float]:
    return [1e3 * (sent.done - sent.sent) for sent in _closed(setup, target, order, 1)]


def _rate(setup: Setup, target: Target, order: list[int]) -> float:
    requests = _closed(setup, target, order, setup.clients)
    begun, ended = min(s.sent for s in requests), max(s.done for s in requests)
    return len(requests) / (ended - begun)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
