"""This server beside the loop without a server, and beside LitServe; rounds take turns."""

from __future__ import annotations

import random
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from serve_bare import Bare, bare_loop
from serve_connection import ask_and_wait
from serve_load import encoded_request
from serve_modes import Section, Setup
from serve_numbers import figures, percentile, row, table
from serve_process import Target, put_load, started

A = TypeVar("A")
B = TypeVar("B")
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
    added = [_median(server) - _median(loop) for loop, server in singles]
    pairs = [b - a for loop, server in singles for a, b in zip(loop, server, strict=True)]
    losses = [1 - server / loop for loop, server in bulks]
    rows = [
        {
            "round": number,
            "loop p50 ms": _median(single[0]),
            "server p50 ms": _median(single[1]),
            "added ms": added[number],
            "loop pictures/s": bulk[0],
            "server pictures/s": bulk[1],
            "lost %": 100 * losses[number],
        }
        for number, (single, bulk) in enumerate(zip(singles, bulks, strict=True))
    ]
    lost = _median(losses)
    text = (
        f"{len(order)} pictures a round, {setup.threads} threads in either process. One at a time "
        f"the server adds {_median(added):.2f} ms at p50 (median of the rounds; "
        f"{percentile(pairs, 50):.2f} ms as the median over pairs of the same picture). From "
        f"{setup.clients} clients it has {100 * abs(lost):.1f} % "
        f"{'less' if lost > 0 else 'more'} throughput than the loop with decoding ahead "
        f"and batches of up to {setup.max_batch} of one canvas, which shares the "
        "machine with no generator.\n\n"
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
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each picture in the loop, and from the server.

    They take turns after a few pictures, so that a machine which is slow for some seconds, as a
    shared one is, is slow for both.
    """

    def in_loop(some: Sequence[int]) -> list[float]:
        files = [setup.photos[picture] for picture in some]
        return [1e3 * seconds for seconds in bare.run("alone", files, 1)["each"]]

    blocks = [list(order[i : i + _BLOCK]) for i in range(0, len(order), _BLOCK)]
    turns = [
        _in_turns(
            1, partial(in_loop, block), partial(_latencies, setup, target, block), first=number
        )[0]
        for number, block in enumerate(blocks)
    ]
    return [ms for loop, _ in turns for ms in loop], [ms for _, server in turns for ms in server]


def _in_turns(
    rounds: int, one: Callable[[], A], other: Callable[[], B], *, first: int = 0
) -> list[tuple[A, B]]:
    """Run both as often as asked, each being first every other time."""
    found = []
    for number in range(first, first + rounds):
        if number % 2:
            b, a = other(), one()
        else:
            a, b = one(), other()
        found.append((a, b))
    return found


def _warm_up(
    setup: Setup, target: Target, bare: Bare, files: Sequence[str], order: list[int]
) -> None:
    few = min(len(files), 32)
    for mode in ("alone", "ahead"):
        bare.run(mode, files[:few], setup.max_batch)
    put_load(setup.plan(target, clients=setup.clients, order=order, number=4 * few, seconds=1e6))


def _latencies(setup: Setup, target: Target, order: Sequence[int]) -> list[float]:
    """Return the milliseconds that one client waits for each answer, connecting not counted."""
    plan = setup.plan(target, clients=1)
    requests = [b"".join(encoded_request(plan, Path(setup.photos[n]))) for n in order]
    times = []
    with socket.create_connection((target.host, target.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            begun = time.perf_counter()
            code = ask_and_wait(connection, request)
            times.append(1e3 * (time.perf_counter() - begun))
            assert code == 200, f"the server answered {code}"
    return times


def _rate(setup: Setup, target: Target, order: list[int]) -> float:
    plan = setup.plan(target, clients=setup.clients, order=order, number=len(order), seconds=1e6)
    requests, _ = put_load(plan)
    bad = [sent.code for sent in requests if sent.code != 200]
    assert not bad, f"the server did not answer all with 200: {bad[:5]}"
    begun, ended = min(s.sent for s in requests), max(s.done for s in requests)
    return len(requests) / (ended - begun)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
