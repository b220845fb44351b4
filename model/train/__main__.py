"""Train from the command line: `python -m model.train --config R_50_1x --data COCO`.

Exit code 0: done; 1: what --eval-only evaluated has nothing to be found; 2: bad arguments, data
or weights, a loss that is no number, or no room for the last checkpoint; 128 + the signal's
number: stopped, and saved.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from model.train.arguments import parse_arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    # These take seconds to import; --help and a misspelt argument need not wait for them.
    if given[:1] == ["check-data"]:
        from model.datasets.check_data import main as check_data

        return check_data(given[1:])
    args = parse_arguments(given)
    is_main = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(
        level=logging.INFO if is_main else logging.ERROR,
        format="%(asctime)s %(levelname)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    from model.train.run import run

    try:
        return run(args)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted at once; the last save is whole\n")
        return 130
    except (ValueError, OSError) as error:
        sys.stderr.write(f"python -m model.train: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
