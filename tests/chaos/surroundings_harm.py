"""Harm from around the server: told to stop, no shared memory, no room on its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chaos_server import Harm, Row, still_serves
from serving import Server, serve
from steady_load import Tally


def terminated(harm: Harm) -> Row:
    """SIGTERM under load: everything that was accepted is answered, then exit code 0."""
    with harm.server() as server, harm.load(server) as load:
        row = Row(scenario="SIGTERM under load", tally=load.tally, injected=1)
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        while (code := _readiness(server)) == 200:
            if time.monotonic() > asked + 0.5:
                row.notes.append("still ready half a second after SIGTERM")
                break
        if code not in (200, 503):
            row.notes.append(f"/readyz answered {code} after SIGTERM")
        exit_code = server.wait_for_exit()
        row.others = {"exit code": exit_code, "seconds": round(time.monotonic() - asked)}
        load.stop()
        if exit_code != 0:
            row.notes.append(f"exit code {exit_code}; {server.output()}")
        if load.tally.codes[200] == 0:
            row.notes.append("nothing was answered with 200")
    return row


def full_shared_memory(harm: Harm) -> Row | None:
    """/dev/shm is full: pictures wait elsewhere. None where no such mount may be made."""
    return _without_room(harm, "full /dev/shm", "/dev/shm")


def full_disk(harm: Harm) -> Row | None:
    """No room for logs (each write fails) nor for the record of canvases."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "records"
        record.mkdir()
        return _without_room(
            harm,
            "full disk for logs and records",
            str(record),
            *("--canvas-record", str(record / "canvases.json"), "--log-level", "info"),
        )


def unread_log(harm: Harm) -> Row:
    """A log that nobody reads: its pipe is full after some hundred lines."""
    row = Row(scenario="a log that nobody reads", tally=Tally(), injected=1)
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "log"
        os.mkfifo(pipe)
        with _serve_from_shell(harm, row, ("sh", "-c", f'exec "$0" "$@" 2<>{pipe}')) as server:
            row.others = {"404, to fill it": sum(_is_missing(server) for _ in range(1000))}
    return row


def _is_missing(server: Server) -> bool:
    try:
        urllib.request.urlopen(f"{server.url}/nothing", timeout=10).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 404
    return False


def _readiness(server: Server) -> int:
    try:
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def _without_room(harm: Harm, name: str, mount: str, *flags: str) -> Row | None:
    if not may_mount():
        return None
    row = Row(scenario=name, tally=Tally(), injected=1)
    # The new file system is this one server's; the machine's own is untouched.
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {mount} && "
        f"dd if=/dev/zero of={mount}/filling bs=1k 2>/dev/null; "
        'exec "$0" "$@" 2>/dev/full'
    )
    with _serve_from_shell(harm, row, ("unshare", "--mount", "sh", "-c", script), *flags):
        pass
    return row


@contextmanager
def _serve_from_shell(harm: Harm, row: Row, shell: Sequence[str], *flags: str) -> Iterator[Server]:
    """Have a command start the server, put it under load, and see that it serves to the end."""
    weights = () if harm.weights is None else ("--weights", str(harm.weights))
    command = ("-c", _EXEC, *shell, sys.executable, *harm.command)
    with serve(*weights, "--grace-s", "1", *flags, command=command) as server:
        server.wait_until_ready()
        with harm.load(server) as load:
            row.tally = load.tally
            yield server
            time.sleep(3)
            load.stop()
            row.notes += still_serves(server, load.tally)
        if (code := server.terminate()) != 0:
            row.notes.append(f"exit code {code}")


# `serve` starts Python; this is how it becomes something else.
_EXEC = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


def may_mount() -> bool:
    """Return whether this process may mount a file system for itself."""
    if shutil.which("unshare") is None or os.name != "posix":
        return False
    trial = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /dev/shm"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0
