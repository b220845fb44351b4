"""A rolling replacement, rehearsed: two servers behind nginx, one after the other drained and
replaced under load.

    python tests/rollout/rehearse.py [--rounds 2] [--rate 30]

The proxy has the configuration that docs/deploy.md shows. Every request must be answered, with
200, and each server that is told to stop must exit with 0; else the exit code is 1. The workers
have no network behind them: what is rehearsed is the handing over, not the masks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(_ROOT / "tests" / part) for part in (".", "service", "chaos")]

from serving import Server, serve  # noqa: E402
from steady_load import SteadyLoad, Tally, noisy_picture  # noqa: E402

_SERVER = (str(_ROOT / "tests" / "service" / "fake_server.py"),)
_GRACE_S = 2
_SETTLE_S = 3.0


def main() -> int:
    """Rehearse, print what became of the requests, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="replacements of each server")
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second")
    args = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.stderr.write("nginx is needed; install it with the system's package manager\n")
        return 2
    ports = (_free_port(), _free_port(), _free_port())
    tally, codes = rehearse(ports, args.rounds, args.rate)
    print(
        f"{tally.sent} requests, by status {dict(tally.codes)}; lost {len(tally.lost)}, "
        f"answered twice {tally.twice}, hung {tally.hung}, turned away {tally.turned_away}; "
        f"slowest {tally.slowest_s:.2f} s; {len(codes)} servers replaced, exit codes {codes}"
    )
    is_clean = not tally.faults() and set(tally.codes) == {200} and set(codes) == {0}
    for fault in tally.faults()[:10]:
        print(f"fault: {fault}")
    return 0 if is_clean and tally.sent > 0 else 1


def rehearse(ports: tuple[int, int, int], num_rounds: int, rate: float) -> tuple[Tally, list[int]]:
    """Return what became of the requests, and the exit codes of the servers that were replaced.

    Args:
        ports: of the proxy and of the two servers.
    """
    proxy, *backs = ports
    codes: list[int] = []
    with ExitStack() as stack:
        servers = {port: stack.enter_context(_server(port)) for port in backs}
        stack.enter_context(_nginx(proxy, backs))
        pictures = [noisy_picture(8 + n, 6, seed=n) for n in range(20)]
        load = stack.enter_context(SteadyLoad(f"http://127.0.0.1:{proxy}", pictures, rate=rate))
        time.sleep(_SETTLE_S)
        for port in backs * num_rounds:
            codes.append(servers[port].terminate())
            servers[port] = stack.enter_context(_server(port))
            time.sleep(_SETTLE_S)
        load.stop()
        return load.tally, codes


@contextmanager
def _server(port: int) -> Iterator[Server]:
    flags = ("--port", str(port), "--devices", "cpu", "--grace-s", str(_GRACE_S))
    with serve(*flags, command=_SERVER) as server:
        server.wait_until_ready()
        yield server


@contextmanager
def _nginx(port: int, backs: list[int]) -> Iterator[None]:
    """Run nginx with the documented configuration, its addresses replaced."""
    page = (_ROOT / "docs" / "deploy.md").read_text()
    shown = re.search(r"```nginx\n(.*?)```", page, re.S)
    assert shown is not None
    text = shown[1].replace("server {", f"server {{\n  listen 127.0.0.1:{port};")
    for documented, back in zip(("127.0.0.1:8000", "127.0.0.1:8001"), backs, strict=True):
        assert documented in text
        text = text.replace(documented, f"127.0.0.1:{back}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
            f"http {{ access_log off; {paths}\n{text}\n}}\n"
        )
        process = subprocess.Popen(["nginx", "-p", name, "-c", str(folder / "nginx.conf")])
        try:
            _wait_for(port)
            yield
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
