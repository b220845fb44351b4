"""Spoilt pictures through a real server: answered as the door in this process judges them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz_door import HANG_S, Outcome, watch
from fuzz_mutations import mutated
from fuzz_seeds import seed_pictures
from serve_load import CUT, LATE, Plan
from serve_process import Target, metrics, ours, put_load, started
from serve_weights import RANDOM, random_weights

_CLIENTS = 4
_AT_ONCE = 1000
_CODES = {200: "decoded", 400: "not an image", 413: "too large", 415: "unsupported"}
_SAME_CODE = {"too costly": "too large"}


def send(seed: int, first: int, last: int, weights: str) -> Iterator[Outcome]:
    """Yield what a server, started for it, answers to the cases."""
    # Told to stop: by an exception, so that the server is stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with TemporaryDirectory() as folder:
        if weights in RANDOM:
            weights = str(random_weights(weights, Path(folder)))
        command = ours(["--weights", weights])
        with started("blendmask", command, path="/segment", ready="/readyz", threads=1) as target:
            for start in range(first, last, _AT_ONCE):
                yield from _send_some(target, seed, start, min(last, start + _AT_ONCE))
                if lost := _num_lost_workers(target):
                    sys.exit(f"{lost} workers were lost before case {start + _AT_ONCE}")


def _send_some(target: Target, seed: int, first: int, last: int) -> Iterator[Outcome]:
    expected = {outcome.number: outcome for outcome in watch(seed, first, last)}
    seeds = seed_pictures()
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.bin" for number in range(first, last)]
        for number, file in enumerate(files, start=first):
            file.write_bytes(mutated(seeds, seed, number)[1])
        requests, _ = put_load(
            Plan(
                host=target.host,
                port=target.port,
                path=target.path,
                files=[str(file) for file in files],
                order=list(range(len(files))),
                clients=_CLIENTS,
                number=len(files),
                seconds=1e6,
                timeout_s=_CLIENTS * HANG_S,
            )
        )
    for sent in requests:
        case = expected[first + sent.picture]
        yield Outcome(
            number=case.number,
            name=case.name,
            result=_CODES.get(sent.code, "defect"),
            seconds=sent.done - sent.sent,
            defect=_defect(sent.code, case.result),
        )


def _num_lost_workers(target: Target) -> float:
    name = "blendmask_worker_restarts_total"
    return sum(value for key, value in metrics(target).items() if key.startswith(name))


def _defect(code: int, expected: str) -> str | None:
    if code in (CUT, LATE):
        return "the connection was cut" if code == CUT else "there was no answer"
    if code not in _CODES:
        return f"answered {code}"
    if _CODES[code] != _SAME_CODE.get(expected, expected):
        return f"answered {code}, although decoding here says: {expected}"
    return None
