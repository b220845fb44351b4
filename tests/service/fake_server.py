"""`python -m service` with a worker that needs no model: run as a script by the process tests.

It answers each picture after as many seconds as its width has hundreds of pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

from service import __main__ as program

_WORKER = Path(__file__).with_name("fake_worker.py")

if __name__ == "__main__":
    sys.exit(program.main(worker_command=(sys.executable, str(_WORKER))))
