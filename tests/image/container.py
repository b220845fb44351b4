"""One container of the image, locked up as docker/README.md says."""

from __future__ import annotations

import json
import os
import resource
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = "2g"
STOP_AFTER_S = 60
RUN_FLAGS = shlex.split(os.environ.get("IMAGE_RUN_FLAGS", "--runtime runc --network host"))
LOCKED_UP = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
LOCKED_UP += ["--tmpfs", "/tmp", "--memory", MEMORY, "--memory-swap", MEMORY]


class Container:
    """A started container. url: of the server in it."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def readiness(self) -> int | None:
        """Return the code of /readyz; None: nobody listens."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def wait_until_ready(self, timeout_s: float = 300) -> float:
        """Return how many seconds it took."""
        begun = time.monotonic()
        while self.readiness() != 200:
            assert time.monotonic() < begun + timeout_s, self.logs()
            assert self.state()["Running"], self.logs()
            time.sleep(0.2)
        return time.monotonic() - begun

    def state(self) -> dict[str, Any]:
        """Return podman's account: Running, ExitCode, OOMKilled."""
        found: dict[str, Any] = json.loads(podman("inspect", self.name))[0]["State"]
        return found

    def python(self, code: str) -> str:
        """Return what Python prints in the container."""
        return podman("exec", self.name, "python", "-c", code).strip()

    def logs(self) -> str:
        """Return all that the server said."""
        return podman("logs", self.name)


@contextmanager
def run(image: str, name: str, **environment: str) -> Iterator[Container]:
    """Start a container on a free port, and remove it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Explicit, since the usual ones are beyond the rights of some machines.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = ["--ulimit", f"nofile={files}:{files}", "--ulimit", "nproc=4096:4096"]
    given = {**environment, "BLENDMASK_PORT": str(port)}
    variables = [f"--env={key}={value}" for key, value in given.items()]
    podman("run", "--detach", "--name", name, *RUN_FLAGS, *limits, *LOCKED_UP, *variables, image)
    try:
        yield Container(name, f"http://127.0.0.1:{port}")
    finally:
        podman("rm", "--force", "--time", "0", name)


def podman(*arguments: str) -> str:
    """Return what podman prints, of the container's stderr too where it is asked for logs."""
    is_log = arguments[0] == "logs"
    done = subprocess.run(
        ["podman", *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if is_log else subprocess.PIPE,
    )
    assert done.returncode == 0, f"podman {shlex.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout
