"""The real server, whose costly pictures have little more of a core than makes them costly.

    python thrifty_server.py [flags of python -m service]

With the flags of a worker it is that.
"""

from __future__ import annotations

import sys

from service import __main__ as program
from service.worker import aside, process

if __name__ == "__main__":
    aside.CPU_S = 0.6  # the kernel counts whole seconds
    if "--arena" in sys.argv:
        process.main()
    sys.exit(program.main(worker_command=(sys.executable, __file__)))
