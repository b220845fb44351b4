"""`python -m service` whose workers are those of `faulty_worker.py`: run as a script."""

from __future__ import annotations

import sys
from pathlib import Path

from service import __main__ as program

_WORKER = Path(__file__).with_name("faulty_worker.py")

if __name__ == "__main__":
    sys.exit(program.main(worker_command=(sys.executable, str(_WORKER))))
