"""The pods of the CPU overlay run under podman, and pass their own probes (make k8s-test).

K8S_IMAGE names the image, one that podman has; without it there is nothing to run. PODMAN_FLAGS
are podman's own, before its command; PLAY_FLAGS those of `play kube`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kustomized import K8S, Object, built, read_objects

pytestmark = pytest.mark.k8s

IMAGE = os.environ.get("K8S_IMAGE", "")
PODMAN = ["podman", *shlex.split(os.environ.get("PODMAN_FLAGS", ""))]
PLAY = shlex.split(os.environ.get("PLAY_FLAGS", "--network host"))
ADDRESS = "http://127.0.0.1:8000"


def _podman(*arguments: str, check: bool = True) -> str:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"podman {arguments}: {done.stderr}"
    return done.stdout


def _one_pod() -> list[Object]:
    """Return the overlay's ConfigMap and Deployment, for a single pod of the image given."""
    kept = [
        item
        for item in read_objects(built(K8S / "overlays" / "cpu"))
        if item["kind"] in ("ConfigMap", "Deployment")
    ]
    (deployment,) = (item for item in kept if item["kind"] == "Deployment")
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = IMAGE
    # podman would run curl in the image for it; here the test asks, as a kubelet does.
    for name in [name for name in pod["containers"][0] if "Probe" in name]:
        PROBES[name] = pod["containers"][0].pop(name)
    return kept


PROBES: dict[str, dict[str, Any]] = {}


def _passes(probe: dict[str, Any], tries: int) -> bool:
    """Ask as often as a kubelet may, until the probe passes."""
    for _ in range(tries):
        try:
            url = ADDRESS + probe["httpGet"]["path"]
            if httpx.get(url, timeout=probe["timeoutSeconds"]).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(probe["periodSeconds"])
    return False


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the pod; return the name of its container."""
    if not IMAGE:
        pytest.skip("K8S_IMAGE names no image")
    file = tmp_path_factory.mktemp("play") / "cpu.yaml"
    file.write_text(yaml.safe_dump_all(_one_pod()))
    _podman("play", "kube", *PLAY, str(file))
    try:
        (name,) = (
            line
            for line in _podman("ps", "--all", "--format", "{{.Names}}").splitlines()
            if line.startswith("blendmask-server-pod") and line.endswith("-server")
        )
        yield name
    finally:
        _podman("play", "kube", "--down", str(file), check=False)


def test_the_pod_passes_its_probes(container: str) -> None:
    startup = PROBES["startupProbe"]
    told = _podman("logs", container, check=False)
    assert _passes(startup, startup["failureThreshold"]), told
    assert _passes(PROBES["readinessProbe"], 1)
    assert _passes(PROBES["livenessProbe"], 1)


def test_the_pod_answers_a_picture(container: str) -> None:
    picture = sorted(Path(__file__).parents[1].joinpath("golden", "_images").glob("*.jpg"))[0]
    answer = httpx.post(
        f"{ADDRESS}/segment",
        content=picture.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["images"][0]["width"] > 0


def test_the_pod_may_write_nothing_but_its_volumes(container: str) -> None:
    said = _podman("exec", container, "id", "-u")
    assert said.strip() == "10001"
    attempt = [*PODMAN, "exec", container, "touch", "/probe"]
    assert subprocess.run(attempt, capture_output=True, check=False).returncode != 0
    _podman("exec", container, "touch", "/tmp/probe", "/var/cache/blendmask/probe")


def test_the_pod_leaves_in_peace(container: str) -> None:
    """Stopped as a kubelet does it: SIGTERM, then as long as the grace period."""
    _podman("stop", "--time", "60", container)
    told = _podman("inspect", "--format", "{{.State.ExitCode}}", container)
    assert told.strip() == "0"
