"""`python -m service` whose workers fail every canary: run as a script."""

from __future__ import annotations

import sys
from pathlib import Path

from service import __main__ as program

_WORKER = Path(__file__).parents[1] / "service" / "fake_worker.py"

if __name__ == "__main__":
    sys.exit(program.main(worker_command=(sys.executable, str(_WORKER), "--bad-canary", __file__)))
