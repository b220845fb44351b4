"""Spoilt pictures at the door: what reads them must refuse or decode them, and do nothing else.

    python bench/fuzz_images.py [--cases 100000] [--seed 0] [--keep FOLDER]
    python bench/fuzz_images.py --http [--cases 5000]    the same pictures sent to a real server
    python bench/fuzz_images.py --only 4711              one case again, in this process

Cases are numbered, and a number and a seed always make the same bytes. In the first form a child
process with a limit on its memory runs `read_header` and `decode_image` on them, as the server
does, with its limits, and has costly ones decoded aside; the parent watches. A defect is: the
child died, a case took more than 20 s, or 1 s of work where it is not aside, memory ran out, an
exception that is no `ImageError`, a picture that is not what `decode_image` promises or not of
the size that its header gave. The exit code is 1 if there is one. Over HTTP a defect is a 5xx, a
connection that is cut, or an answer that takes too long.
"""

from __future__ import annotations

import argparse
import mmap
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fuzz_door import Outcome, open_door, run_cases, watch
from fuzz_mutations import mutated
from fuzz_seeds import seed_pictures


def report(outcomes: Iterator[Outcome], seed: int, keep: Path | None) -> int:
    """Print a table of the outcomes by format and the defects; return how many there are."""
    seeds, counts, defects = seed_pictures(), Counter[tuple[str, str]](), []
    slowest, slowest_header, begun, total = (0.0, 0), (0.0, 0), time.monotonic(), 0
    for outcome in outcomes:
        total += 1
        counts[outcome.name.partition("-")[0], outcome.result] += 1
        slowest = max(slowest, (outcome.seconds, outcome.number))
        slowest_header = max(slowest_header, (outcome.header_seconds, outcome.number))
        if outcome.defect is not None:
            defects.append(outcome)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                _, data = mutated(seeds, seed, outcome.number)
                (keep / f"{seed}-{outcome.number}-{outcome.name}").write_bytes(data)
    results = sorted({result for _, result in counts})
    print(f"{total} cases in {time.monotonic() - begun:.0f} s, seed {seed}\n")
    print(f"| format | {' | '.join(results)} |\n|---|{'---:|' * len(results)}")
    for name in sorted({name for name, _ in counts}):
        print(f"| {name} | {' | '.join(str(counts[name, result]) for result in results)} |")
    print(f"\nSlowest: case {slowest[1]}, {1e3 * slowest[0]:.0f} ms; ", end="")
    print(f"its header only: case {slowest_header[1]}, {1e3 * slowest_header[0]:.2f} ms.")
    print(f"Defects: {len(defects)}.")
    for outcome in defects[:50]:
        print(f"- case {outcome.number} ({outcome.name}): {outcome.defect}")
    return len(defects)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for pictures that show a defect")
    parser.add_argument("--only", type=int, help="run this one case")
    parser.add_argument("--http", action="store_true", help="through a real server")
    parser.add_argument("--weights", default="random-tiny", help="of that server")
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        handle, first, last = arguments.child
        run_cases(arguments.seed, first, last, mmap.mmap(handle, mmap.PAGESIZE))
        sys.stdout.flush()
        os._exit(0)
    if arguments.only is not None:
        origin, data = mutated(seed_pictures(), arguments.seed, arguments.only)
        print(f"{origin.name}, {len(data)} bytes: {open_door(data)[0]}")
        return 0
    last = arguments.first + arguments.cases
    if arguments.http:
        from fuzz_http import send  # a server and a load generator, which the rest needs not

        outcomes = send(arguments.seed, arguments.first, last, arguments.weights)
    else:
        outcomes = watch(arguments.seed, arguments.first, last)
    return 1 if report(outcomes, arguments.seed, arguments.keep) else 0


if __name__ == "__main__":
    sys.exit(main())
