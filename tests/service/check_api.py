"""Holds a running server to its own OpenAPI document: schemathesis over a real socket.

`python check_api.py [NUMBER]` sends about that many requests to each route, and many more that
are wrong on purpose.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

HERE = Path(__file__).parent
PATHS = os.pathsep.join(str(path) for path in (HERE, HERE.parent, HERE.parents[1]))


@contextmanager
def serving(server: str = "api_server.py") -> Iterator[str]:
    """The address of a server that is ready."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "address"
        process = subprocess.Popen(
            [sys.executable, str(HERE / server), str(address)],
            env={**os.environ, "PYTHONPATH": PATHS},
        )
        try:
            deadline = time.monotonic() + 60
            while not address.exists():
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.05)
            url = address.read_text()
            assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200
            yield url
        finally:
            process.kill()
            process.wait()


def check(num_examples: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its exit code is 0 if it found nothing."""
    with serving() as url, tempfile.TemporaryDirectory() as folder:
        return run(f"{url}/openapi.json", num_examples, options, folder)


def run(
    document: str, num_examples: int, options: Sequence[str], folder: str
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on a document, in a folder where it may leave files."""
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", document]
    return subprocess.run(
        [*command, "--checks", "all", "--max-examples", str(num_examples), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PATHS, "SCHEMATHESIS_HOOKS": "api_hooks"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    done = check(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    print(done.stdout)
    sys.exit(done.returncode)
