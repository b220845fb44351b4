"""Does all the harm there is to a real server under a steady load, and prints what came of it.

    python tests/chaos/chaos.py [--kills 50] [--rate 20] [SCENARIO...]

The exit code is 1 if any request was lost, answered twice, answered wrongly or not at all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS / "service")]

import client_harm  # noqa: E402
import surroundings_harm  # noqa: E402
import worker_harm  # noqa: E402
from chaos_server import Harm, Row, steady_pictures, write_tiny_weights  # noqa: E402

SCENARIOS: dict[str, Callable[[Harm], Row | None]] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        worker_harm.killed,
        worker_harm.stopped,
        worker_harm.reloaded,
        worker_harm.hanging,
        worker_harm.crashing,
        worker_harm.segfaulting,
        worker_harm.out_of_memory,
        worker_harm.really_out_of_memory,
        worker_harm.out_of_memory_in_company,
        worker_harm.defective,
        client_harm.damaged,
        client_harm.vanishing,
        client_harm.malformed,
        surroundings_harm.terminated,
        surroundings_harm.full_shared_memory,
        surroundings_harm.full_disk,
        surroundings_harm.unread_log,
    )
}

_HEAD = (
    "scenario",
    "times",
    "sent",
    "by code",
    "the harmful ones",
    "resent",
    "turned away",
    "lost",
    "twice",
    "hung",
    "wrong",
    "ready again s (median, most)",
    "slowest answer s",
)


def cells(row: Row) -> list[str]:
    """Return a row of the table."""
    tally = row.tally
    ready = "–"
    if row.ready_s:
        ready = f"{statistics.median(row.ready_s):.1f}, {max(row.ready_s):.1f}"
    return [
        row.scenario,
        str(row.injected),
        str(tally.sent),
        ", ".join(f"{code}: {number}" for code, number in sorted(tally.codes.items())),
        ", ".join(f"{what}: {number}" for what, number in row.others.items()) or "–",
        str(tally.resent),
        str(tally.turned_away),
        str(len(tally.lost)),
        str(tally.twice),
        str(tally.hung),
        str(len(tally.wrong)),
        ready,
        f"{tally.slowest_s:.1f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", help=f"default: all of {', '.join(SCENARIOS)}")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--faults", type=int, default=5, help="of each other kind")
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=20, help="requests a second meanwhile")
    arguments = parser.parse_args()
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario is called {', '.join(unknown)}; see --help")
    faults: list[str] = []
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        harm = Harm(
            weights=write_tiny_weights(Path(folder) / "tiny.safetensors"),
            num_kills=arguments.kills,
            num_faults=arguments.faults,
            num_malformed=arguments.malformed,
            rate=arguments.rate,
            pictures=steady_pictures(),
        )
        for name in arguments.scenarios or SCENARIOS:
            row = SCENARIOS[name](harm)
            if row is None:
                print(f"| {name}: not possible here |", flush=True)
                continue
            print(f"| {' | '.join(cells(row))} |", flush=True)
            faults += [f"{row.scenario}: {fault}" for fault in row.faults()]
    print(f"\n{len(faults)} faults.")
    for fault in faults:
        print(f"- {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
